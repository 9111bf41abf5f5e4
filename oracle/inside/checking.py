"""Tells type checkers from interpreters: a checker takes the name of this constant for true.

Rule: `typing` has the same, and would be one more module to load for each executor.
"""

TYPE_CHECKING = False
