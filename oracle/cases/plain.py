"""Owns the plain format: the text of a case is its input, byte for byte; its pieces are its lines."""

from collections.abc import Iterator

from oracle.cases import sections


def read(text: str) -> Iterator[sections.Section]:
    """Yield the cases of a file."""
    return sections.split(text)


def pieces(text: str) -> list[str]:
    """Return what shrinking may leave out one by one; joined they are the text again."""
    return sections.LINE.findall(text)
