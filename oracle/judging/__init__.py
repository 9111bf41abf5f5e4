"""From answers to verdicts: comparison, counting, causes, shrinking and what an agent is told."""
