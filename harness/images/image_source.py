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
from mcp_server.config.environments import PACKAGE

DEBIAN = "bookworm"
ROOT_SOURCES = ("images/rootfs",)
HASH_DIGITS = 12
HOST_CERTIFICATES = f"{COMMON}/ca/host.crt"
NEVER_COPIED = re.compile(r"__pycache__|.*\.pyc|.*\.egg-info|.*~")


class ImageSource:
    """The images' sources below one directory: a checkout, or the same layout inside the runner's own
    image.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(__file__).resolve().parents[2]
        self._digests: dict[tuple[str, str | None], str] = {}

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """All images but the root, by name."""
        return read_recipes(self.root)

    def recipe(self, kind: str) -> Recipe:
        """Return how the image is made; raise BadRecipe if there is no such image."""
        if kind not in self.recipes:
            raise BadRecipe(f"there is no image {kind!r}; there are {', '.join(self.recipes)}")
        return self.recipes[kind]

    def name(self, kind: str, packages: Iterable[str] = (), *, bottom: str | None = None) -> str:
        """Return the name that the image has or will have, with these Debian packages on top, and with the
        image `bottom` below everything instead of the root. Raise BadRecipe if there is no such image, or if
        a name is no package's.
        """
        on_top = sorted(set(packages))
        for package in on_top:
            if not PACKAGE.fullmatch(package):
                raise BadRecipe(f"{package!r} is not the name of a Debian package")
        digest = self._digest(kind, bottom)
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

    def context(
        self, kind: str, certificates: bytes, added: Mapping[str, tuple[bytes, bool]] | None = None
    ) -> bytes:
        """Return the build context as a tar: the same bytes for the same content, so that the builder's
        own cache is of use. `added`: more files by path, each with whether it may be run.
        """
        files = {
            str(path.relative_to(self.root)): (path.read_bytes(), _is_executable(path))
            for path in self._files(self.recipe(kind).copied)
        }
        if certificates:
            files[HOST_CERTIFICATES] = (certificates, False)
        return tar_of({**files, **(added or {})})

    def _digest(self, kind: str, bottom: str | None = None) -> str:
        key = kind, bottom
        if key not in self._digests:
            made_of = [DEBIAN, *self._contents(ROOT_SOURCES)] if kind == ROOT else self._made_of(kind, bottom)
            self._digests[key] = _hash(made_of)
        return self._digests[key]

    def _made_of(self, kind: str, bottom: str | None) -> list[str]:
        recipe = self.recipe(kind)
        return [kind, self.below(kind, bottom), *self._contents(recipe.copied)]

    def below(self, kind: str, bottom: str | None = None) -> str:
        """Return the name of the image that this one starts from."""
        below = self.recipe(kind).below
        return bottom if bottom is not None and below == ROOT else self.name(below, bottom=bottom)

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


def tar_of(files: Mapping[str, tuple[bytes, bool]]) -> bytes:
    """Return a tar of files by path, each with its content and whether it may be run; the same bytes for the
    same files.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, (content, is_executable) in sorted(files.items()):
            _add(tar, path, content, 0o755 if is_executable else 0o644)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), mode, 0
    tar.addfile(entry, io.BytesIO(content))


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
