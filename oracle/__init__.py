"""Judgement: cases in, verdicts out; nothing here knows Docker, git, a database or the network."""
