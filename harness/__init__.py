"""Floor 3, the hands: the command line and everything that touches Docker; neither git nor the database."""
