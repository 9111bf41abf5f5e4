"""The order of values of any type: NULL, then numbers, then text, then blobs."""


def rank(value):
    """A key that sorts values as SQL does."""
    if value is None:
        return (0, 0)
    if isinstance(value, str):
        return (2, value)
    if isinstance(value, bytes):
        return (3, value)
    return (1, value)
