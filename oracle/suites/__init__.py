"""Kinds of suite: what their cases are, how they run, how they are judged and how they are shown to be able
to fail.
"""
