"""Owns what of the project's files a session takes along. Rule: it reads, and says in one line what cannot be
read.
"""

from collections.abc import Iterable
from pathlib import Path

from harness.agents.base import ProjectFile

FILES_BYTES_MAX = 64 << 20  # they travel in session.json and lie in the sandbox's memory


class BadFiles(Exception):
    """The project's files for a session cannot be taken along; the message says which and why."""


def missing_files(root: Path, wants: Iterable[ProjectFile]) -> str | None:
    return next(
        (
            f"{root / want.source} does not exist"
            for want in wants
            if want.required and not (root / want.source).exists()
        ),
        None,
    )


def gather(root: Path, wants: Iterable[ProjectFile]) -> dict[str, str]:
    """The texts of all wanted files, by their names below the home directory."""
    found: dict[str, str] = {}
    for want in wants:
        source = root / want.source
        files = (
            sorted(path for path in source.rglob("*") if path.is_file())
            if source.is_dir()
            else [source]
            if source.is_file()
            else []
        )
        if want.required and not source.exists():
            raise BadFiles(f"{source} does not exist")
        for path in files:
            if not path.resolve().is_relative_to(root.resolve()):
                raise BadFiles(f"{path} leads out of the project, and agents are given only what lies in it")
            name = want.target if path == source else f"{want.target}/{path.relative_to(source).as_posix()}"
            found[name] = text_of(path)
    if sum(map(len, found.values())) > FILES_BYTES_MAX:
        raise BadFiles(f"more than {FILES_BYTES_MAX >> 20} MB of files for one session")
    return found


def text_of(path: Path) -> str:
    """The file's text; raises BadFiles."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadFiles(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadFiles(f"{path} is not UTF-8 text") from error
