"""Suites and cases as values, and how case files become cases: the lowest room of the oracle."""
