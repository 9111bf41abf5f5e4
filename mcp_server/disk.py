"""What is on the disk when the power goes: syncs that last, and files that are whole or not there."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's bytes or a directory's names durable."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that after a power loss it holds what it held before, or all of `content`."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync(path.parent)
