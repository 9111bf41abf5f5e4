"""Git over smart HTTP."""
