"""Owns the writing of a client's configuration: as a whole or not at all, with the file that was there kept
beside it.

Rule: what is written holds a token, so nobody but its owner may read it.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.connect.merging import UnreadableConfig
from harness.failure import Exit, VerbFailed

BACKUP = ".before-harness"


@dataclass(frozen=True)
class Written:
    """What was written where."""

    file: Path
    backup: Path | None  # what was there before, where anything was


def write(file: Path, merged: Callable[[str], str]) -> Written:
    """Replace the file's text by `merged` of it; raise VerbFailed, having changed nothing, if that fails."""
    file = file.resolve()  # a link, as in a repository of dot files, stays one
    try:
        before = file.read_bytes() if file.exists() else None
        text = merged((before or b"").decode())
        file.parent.mkdir(parents=True, exist_ok=True)
        backup = None if before is None else _replace(file.with_name(file.name + BACKUP), before)
        return Written(_replace(file, text.encode()), backup)
    except (UnreadableConfig, UnicodeDecodeError) as wrong:
        raise VerbFailed(
            f"{file} was not changed: {wrong}. Mend it, or put the entry there by hand "
            "(the same command without --write prints it)",
            Exit.USAGE,
        ) from wrong
    except OSError as wrong:
        raise VerbFailed(
            f"{wrong.filename or file} cannot be written: {wrong.strerror}; nothing was changed",
            Exit.INFRASTRUCTURE,
        ) from wrong


def _replace(file: Path, content: bytes) -> Path:
    """Write beside the file and move it there, so that it is never half there; mkstemp makes it private."""
    handle, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as fresh:
            fresh.write(content)
            fresh.flush()
            os.fsync(fresh.fileno())
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return file
