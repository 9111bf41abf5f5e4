"""Reads the files in which a repository says what it is made of. Rule: what cannot be read is empty."""

import json
import tomllib
from pathlib import Path
from typing import Any


def text(path: Path) -> str:
    """Return a file's text, whatever bytes it holds."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file."""
    try:
        return tomllib.loads(text(path))
    except tomllib.TOMLDecodeError:
        return {}


def json_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file."""
    try:
        value = json.loads(text(path) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def strings(value: object) -> list[str]:
    """Return the texts of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
