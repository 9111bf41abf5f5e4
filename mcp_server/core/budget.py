"""Answers within a budget of characters: the longest text is cut first, and every cut says how much is
missing.

Rule: the result's JSON is never longer than asked, keeps its keys, and is the value itself where that fits.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

TEXT_MIN = 80  # a text is not cut below this while there are longer ones or lists to shorten
MARK = re.compile(r" \.\.\. \((\d+) characters cut\)\Z")
MARK_CHARACTERS = len(" ... (12345678 characters cut)")
Path = tuple[str | int, ...]


def encode(value: Any) -> str:
    """The JSON that a client is sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fit(value: dict[str, Any], characters: int) -> dict[str, Any]:
    """`value` with its longest texts, then its longest lists, shortened until its JSON has at most so many
    characters.
    """
    while (over := len(encode(value)) - characters) > 0:
        texts, lists = _leaves(value)
        size, path = max(texts, default=(0, ()))
        if size <= TEXT_MIN and lists:
            _, path = max(lists)
            value = _changed(value, path, _shortened) | {
                "cut": "lists were shortened to keep this answer small"
            }
        elif size > MARK_CHARACTERS + 1:
            value = _changed(value, path, lambda text: cut(text, max(1, len(text) - over - MARK_CHARACTERS)))
        else:
            value = {key: value[key] for key in list(value)[: len(value) // 2]}
    return value


def cut(text: str, characters: int) -> str:
    """The text's beginning and a count of the rest; one that was cut before counts on."""
    if len(text) <= characters:
        return text
    before = MARK.search(text)
    whole = MARK.sub("", text)
    missing = len(whole) - characters + (int(before[1]) if before else 0)
    return f"{whole[:characters]} ... ({missing} characters cut)"


def _leaves(value: Any, path: Path = ()) -> tuple[list[tuple[int, Path]], list[tuple[int, Path]]]:
    """Texts and lists of two or more, each as (length, where it is)."""
    if isinstance(value, str):
        return [(len(value), path)], []
    texts: list[tuple[int, Path]] = []
    lists: list[tuple[int, Path]] = []
    if isinstance(value, list) and len(value) > 1:
        lists.append((len(value), path))
    for key, part in _parts(value):
        more_texts, more_lists = _leaves(part, (*path, key))
        texts += more_texts
        lists += more_lists
    return texts, lists


def _parts(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _shortened(items: list[Any]) -> list[Any]:
    return items[: len(items) * 3 // 4]


def _changed(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Return a copy of `value` in which what is at `path` has been changed."""
    if not path:
        return change(value)
    key, *rest = path
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[key] = _changed(value[key], tuple(rest), change)
    return copy
