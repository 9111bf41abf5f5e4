"""Agents, sessions, tokens, status, events and spending, as people and the harness see them."""
