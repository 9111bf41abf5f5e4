"""The suite kind `command`: a project's own test command, read in the form that it writes."""
