"""Oracle jobs, their verdicts and what main is known to pass."""
