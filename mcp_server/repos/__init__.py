"""The only git: the server's bare repositories, and what may be read from and written to a user's."""
