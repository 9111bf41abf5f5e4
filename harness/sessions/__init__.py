"""Agents' sessions: one thread for each agent, one sandbox for each session."""
