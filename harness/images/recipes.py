"""Owns which images there are: every folder below images/ that has a Dockerfile is one.

Rule: the Dockerfile alone says what the image needs: the image below it (`ARG BASE=`), and what else of the
tree it copies (`COPY`). So an image is its folder, and no list of images stands anywhere.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = "rootfs"  # the image below all others, made of the distribution's packages
COMMON = "images/common"  # what every image may copy
OURS = "localhost/harness/"  # a name that no registry elsewhere can ever answer for

BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
COPY = re.compile(r"^COPY (?!--from=)(.+) \S+$", re.MULTILINE)
# An image that is another one's Dockerfile again, under a name that tells what it is for.
ALIASES = {"oracle-command": "oracle-reference"}


class BadRecipe(ValueError):
    """An image or a package that cannot be: the message names it."""


@dataclass(frozen=True)
class Recipe:
    """An image: its directory below images/, the image below it, and what else of the tree its Dockerfile
    copies.
    """

    directory: str
    below: str
    copies: tuple[str, ...] = ()

    @property
    def dockerfile(self) -> str:
        return f"images/{self.directory}/Dockerfile"

    @property
    def copied(self) -> tuple[str, ...]:
        return (f"images/{self.directory}", COMMON, *self.copies)


def read_recipes(root: Path) -> dict[str, Recipe]:
    """Return the recipes of the images below `root` by name; raise BadRecipe for a Dockerfile without a
    base.
    """
    recipes = {file.parent.name: _read(file) for file in sorted(root.glob("images/*/Dockerfile"))}
    for name, other in ALIASES.items():
        if other in recipes:
            recipes[name] = recipes[other]
    return recipes


def _read(dockerfile: Path) -> Recipe:
    directory, text = dockerfile.parent.name, dockerfile.read_text()
    base = BASE.search(text)
    if base is None:
        raise BadRecipe(f"images/{directory}/Dockerfile has no line `ARG BASE=IMAGE`, so nothing is below it")
    is_ours = base[1].startswith(OURS)
    below = base[1].removeprefix(OURS).partition(":")[0] if is_ours else ROOT
    sources = [source.rstrip("/") for line in COPY.findall(text) for source in line.split()]
    own = (f"images/{directory}", COMMON)
    others = [source for source in sources if not _is_within(source, own)]
    return Recipe(directory, below, tuple(dict.fromkeys(others)))


def _is_within(source: str, folders: tuple[str, ...]) -> bool:
    return any(source == folder or source.startswith(f"{folder}/") for folder in folders)
