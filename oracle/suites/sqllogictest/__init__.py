"""The suite kind `sqllogictest`: records of SQLite's .slt files."""
