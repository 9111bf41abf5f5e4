"""One run, from the lock on its state to its end."""
