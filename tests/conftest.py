"""Property tests have no time limit per example: a busy machine is no reason for a function to fail."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
