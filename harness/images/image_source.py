"""Owns what each image is made of: its files, the name that follows from them, the build context.

Rule: a name is a hash of the Dockerfile, of all that it can copy and of the image below; nothing of this
machine is in it.
"""

import hashlib
import io
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from harness.images.recipes import COMMON, OURS, ROOT, BadRecipe, Recipe, read_recipes

DEBIAN = "bookworm"
ROOT_SOURCES = ("images/rootfs",)
HASH_DIGITS = 12
HOST_CERTIFICATES = f"{COMMON}/ca/host.crt"
NEVER_COPIED = re.compile(r"__pycache__|.*\.pyc|.*\.egg-info|.*~")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")


class ImageSource:
    """The images' sources below one directory: a checkout, or the same layout inside the runner's own
    image.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(__file__).resolve().parents[2]
        self._digests: dict[str, str] = {}

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """All images but the root, by name."""
        return read_recipes(self.root)

    def recipe(self, kind: str) -> Recipe:
        """Return how the image is made; raise BadRecipe if there is no such image."""
        if kind not in self.recipes:
            raise BadRecipe(f"there is no image {kind!r}; there are {', '.join(self.recipes)}")
        return self.recipes[kind]

    def name(self, kind: str, packages: Iterable[str] = ()) -> str:
        """Return the name that the image has or will have, with these Debian packages on top. Raise BadRecipe
        if there is no such image, or if a name is no package's.
        """
        on_top = sorted(set(packages))
        for package in on_top:
            if not PACKAGE.fullmatch(package):
                raise BadRecipe(f"{package!r} is not the name of a Debian package")
        digest = self._digest(kind)
        if on_top:
            digest = _hash([digest, *on_top])
        return f"{OURS}{kind}:{digest[:HASH_DIGITS]}"

    def declared(self, kind: str, args: Mapping[str, str]) -> dict[str, str]:
        """Return those build arguments that the image's Dockerfile declares, and the proxies, which
        every build knows.
        """
        text = (self.root / self.recipe(kind).dockerfile).read_text()
        names = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
        names |= {name for name in args if name.lower().endswith("_proxy")}
        return {name: value for name, value in args.items() if name in names}

    def context(self, kind: str, certificates: bytes) -> bytes:
        """Return the build context as a tar: the same bytes for the same content, so that the builder's
        own cache is of use.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in self._files(self.recipe(kind).copied):
                mode = 0o755 if _is_executable(path) else 0o644
                _add(tar, str(path.relative_to(self.root)), path.read_bytes(), mode)
            if certificates:
                _add(tar, HOST_CERTIFICATES, certificates, 0o644)
        return out.getvalue()

    def _digest(self, kind: str) -> str:
        if kind not in self._digests:
            made_of = [DEBIAN, *self._contents(ROOT_SOURCES)] if kind == ROOT else self._made_of(kind)
            self._digests[kind] = _hash(made_of)
        return self._digests[kind]

    def _made_of(self, kind: str) -> list[str]:
        recipe = self.recipe(kind)
        return [kind, self.name(recipe.below), *self._contents(recipe.copied)]

    def _contents(self, copied: Iterable[str]) -> Iterator[str]:
        for path in self._files(copied):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            yield f"{path.relative_to(self.root)} {_is_executable(path)} {digest}"

    def _files(self, copied: Iterable[str]) -> Iterator[Path]:
        for entry in sorted(set(copied)):
            top = self.root / entry
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file() and self._is_source(path):
                    yield path

    def _is_source(self, path: Path) -> bool:
        """Return False for what tools leave behind, and for certificates: they belong to a machine, not to
        the source.
        """
        inside = path.relative_to(self.root)
        if inside.suffix == ".crt" and inside.is_relative_to(f"{COMMON}/ca"):
            return False
        return not any(NEVER_COPIED.fullmatch(part) for part in inside.parts)


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), mode, 0
    tar.addfile(entry, io.BytesIO(content))


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
