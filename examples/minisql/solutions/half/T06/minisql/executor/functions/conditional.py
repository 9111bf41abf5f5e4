"""Functions that choose among their arguments."""


def coalesce(*values):
    """The first value that is not NULL."""
    for value in values:
        if value is not None:
            return value
    return None


FUNCTIONS = {"coalesce": coalesce, "ifnull": coalesce}  # nullif, iif, case and typeof are still to come
