"""What git says about trees, as values: entries, changes, commits, and the hazards a hostile tree may hold.
Pure.

Rule: paths keep git's bytes (UTF-8 with surrogateescape), so that a bad name is seen and refused, never
repaired.
"""

import bisect
import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcp_server.core import derived, names

FILE_BYTES_MAX = 8 * 1024 * 1024  # sources, not data sets: every clone and every oracle run pays for it
# Files in one change: what is said of each of them is held in memory while they are judged.
CHANGED_MAX = 20_000
LINK_BYTES_MAX = names.PATH_BYTES_MAX

# Git itself reads any mode as one of these.
FILE, EXECUTABLE, SYMLINK, GITLINK = "100644", "100755", "120000", "160000"
ABSENT = "000000"
TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (.*)")


@dataclass(frozen=True)
class TreeEntry:
    """One file of a tree, at any depth."""

    mode: str
    oid: str
    path: str


@dataclass(frozen=True)
class Change:
    """One path of a diff; `status` is git's letter: A added, D deleted, M modified, T another type."""

    path: str
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    status: str


@dataclass(frozen=True)
class CommitInfo:
    """A commit as the log tells it. `body` is the message without its first paragraph."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    author: str
    subject: str
    body: str
    trailers: Mapping[str, str] = field(default_factory=dict)
    when_s: int = 0  # of the commit, since the epoch


class HazardKind(StrEnum):
    """What is wrong with one path of a tree."""

    GITLINK = "gitlink"  # a submodule: its content is not in this repository
    SYMLINK = "symlink"  # leaves the tree, or points into `.git`
    GIT_CONFIG = "git_config"  # `.git`, what some file system takes for it, or a `.git*` file that git obeys
    COLLISION = "collision"  # two names that are one on a case-folding or normalising file system
    TOO_LARGE = "too_large"
    NAME = "name"  # added by the change, and bad as core/names.py says
    CACHE = "cache"  # a tool keeps it, and may run it instead of its source
    COMPILED = "compiled"  # code that nobody can read
    BUILT = "built"  # the build of main makes it


@dataclass(frozen=True)
class Hazard:
    """A path of a tree, and what is wrong with it."""

    kind: HazardKind
    path: str


class HostileTree(Exception):
    """A tree that cannot be handed out as files."""

    def __init__(self, hazards: list[Hazard]):
        super().__init__("; ".join(f"{hazard.kind}: {hazard.path}" for hazard in hazards))
        self.hazards = hazards


# -- what git prints, read --


def entries(listing: bytes) -> list[TreeEntry]:
    """Return the entries that `ls-tree -r -z` printed."""
    listed = []
    for record in listing.split(b"\0")[:-1]:
        about, path = record.split(b"\t", 1)
        mode, _kind, oid = about.decode("ascii").split(" ")
        listed.append(TreeEntry(mode, oid, _text(path)))
    return listed


def changes(raw: bytes) -> list[Change]:
    """Return the changes that `diff-tree -r -z --no-renames --no-abbrev` printed."""
    fields = raw.split(b"\0")[:-1]
    listed = []
    for about, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old_oid, new_oid, status = about.decode("ascii").removeprefix(":").split(" ")
        listed.append(Change(_text(path), old_mode, new_mode, old_oid, new_oid, status))
    return listed


def commit_info(fields: list[bytes]) -> CommitInfo:
    """Return the commit of the seven fields of LOG_FORMAT in commits.py."""
    commit, tree, parents, author, when_s, subject, message = (
        part.decode("utf-8", "replace") for part in fields
    )
    _, _, body = message.rstrip("\n").partition("\n\n")
    return CommitInfo(
        commit=commit,
        tree=tree,
        parents=tuple(parents.split()),
        author=author,
        subject=subject,
        body=body,
        trailers=trailers(body),
        when_s=int(when_s),
    )


def trailers(body: str) -> dict[str, str]:
    """Return the last paragraph, if every line of it is `Key: value`; where a key comes twice the last one
    holds.
    """
    last_paragraph = body.rstrip("\n").rpartition("\n\n")[2]
    pairs: dict[str, str] = {}
    for line in last_paragraph.split("\n"):
        trailer = TRAILER.fullmatch(line)
        if trailer is None:
            return {}
        pairs[trailer[1]] = trailer[2]
    return pairs


# -- entries, named and handed out --


def key(listing: Iterable[TreeEntry]) -> str:
    """Return a SHA-256 over paths, modes and contents: equal keys, equal files."""
    digest = hashlib.sha256()
    for entry in listing:
        digest.update(f"{entry.mode} {entry.oid} {entry.path}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def overlaid(below: Iterable[TreeEntry], above: Iterable[TreeEntry]) -> list[TreeEntry]:
    """Return the entries of both as one tree, by path.

    Where a file of one is a directory of the other, or the same path, `above` holds.
    """
    upper = {entry.path: entry for entry in above}
    upper_directories = {directory for path in upper for directory in _directories(path)}
    merged = dict(upper)
    for entry in below:
        is_covered = entry.path in upper or entry.path in upper_directories
        if not is_covered and not any(directory in upper for directory in _directories(entry.path)):
            merged[entry.path] = entry
    return sorted(merged.values(), key=lambda entry: entry.path)


def tar(files: Mapping[TreeEntry, bytes]) -> bytes:
    """Return a tar of these files in this order, with neither times nor owners: the same files, the same
    bytes.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in files.items():
            archive.addfile(_member(entry, content), io.BytesIO(content))
    return packed.getvalue()


def _member(entry: TreeEntry, content: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    if entry.mode == SYMLINK:
        member.type, member.linkname = tarfile.SYMTYPE, _text(content)
        member.mode = 0o777
    else:
        member.size = len(content)
        member.mode = 0o755 if entry.mode == EXECUTABLE else 0o644
    return member


def _directories(path: str) -> Iterable[str]:
    """Yield every directory that the path lies in, the outermost first."""
    return (path[:end] for end, sign in enumerate(path) if sign == "/")


# -- what must not land --


def hazards(
    changed: Iterable[Change], all_paths: Iterable[str], links: Mapping[str, str], sizes: Mapping[str, int]
) -> list[Hazard]:
    """Return everything in a diff that must not land, but for what `derived_files` finds.

    `all_paths` are those of the resulting tree; `links` are the targets of its changed symlinks and `sizes`
    those of its changed files in bytes, both by object id. A path may have several hazards; collisions are
    looked for where nothing else is wrong.
    """
    changed = list(changed)
    hazardous = [
        Hazard(HazardKind.GIT_CONFIG, change.path) for change in changed if names.is_git_config(change.path)
    ]
    remaining = [change for change in changed if change.new_mode != ABSENT]
    for change in remaining:
        hazardous += [Hazard(kind, change.path) for kind in _hazards_of(change, links, sizes)]
    return hazardous or _collisions([change.path for change in remaining], all_paths)


def _hazards_of(change: Change, links: Mapping[str, str], sizes: Mapping[str, int]) -> Iterable[HazardKind]:
    is_new = change.old_mode == ABSENT  # what is on main already is the user's business
    if is_new and names.is_bad(change.path):
        yield HazardKind.NAME
    if change.new_mode == GITLINK:
        yield HazardKind.GITLINK
    elif change.new_mode == SYMLINK:
        if sizes[change.new_oid] > LINK_BYTES_MAX or not stays_inside(change.path, links[change.new_oid]):
            yield HazardKind.SYMLINK
    elif sizes[change.new_oid] > FILE_BYTES_MAX:
        yield HazardKind.TOO_LARGE


def derived_files(
    changed: Iterable[Change],
    all_paths: Collection[str],
    compiled: Collection[str],
    built: Callable[[str], bool],
) -> list[Hazard]:
    """Return what a diff adds or alters, and another file is the source of.

    `compiled` are the ids of those objects that are compiled code; `built` tells if the build of main makes a
    path that main does not track. A file that only gets another mode is not altered.
    """
    found = []
    for change in changed:
        if change.new_mode in (ABSENT, GITLINK) or change.new_oid == change.old_oid:
            continue
        if derived.is_cache(change.path, all_paths):
            found.append(Hazard(HazardKind.CACHE, change.path))
        elif change.new_oid in compiled:
            found.append(Hazard(HazardKind.COMPILED, change.path))
        elif change.old_mode == ABSENT and built(change.path):
            found.append(Hazard(HazardKind.BUILT, change.path))
    return found


def stays_inside(path: str, target: str) -> bool:
    """Return True if a symlink at `path` can only ever lead to somewhere in its own tree, outside of `.git`.

    Stricter than joining and normalising, which is wrong as soon as the target passes through another
    symlink: `..` is allowed only at the front, where it climbs from the link's real directory. What follows
    only descends, and each symlink met on the way keeps the same rule.
    """
    steps = target.split("/")
    climbs = next((i for i, step in enumerate(steps) if step != ".."), len(steps))
    descent = steps[climbs:]
    return (
        target != ""
        and names.is_clean(target)
        and not target.startswith("/")
        and climbs <= path.count("/")
        and ".." not in descent
        and not names.is_git_config(target)
    )


def _collisions(changed: list[str], all_paths: Iterable[str]) -> list[Hazard]:
    """Return those that the change takes part in: what collides in the user's own tree already is the user's
    business.
    """
    in_order = sorted(changed)
    collisions = []
    for one, other in names.collides(all_paths):
        if _is_at_or_above(in_order, one):
            collisions.append(Hazard(HazardKind.COLLISION, one))
        elif _is_at_or_above(in_order, other):
            collisions.append(Hazard(HazardKind.COLLISION, other))
    return collisions


def _is_at_or_above(in_order: list[str], name: str) -> bool:
    """Return True if one of the sorted paths is `name` or lies below it."""
    at, below = bisect.bisect_left(in_order, name), bisect.bisect_left(in_order, f"{name}/")
    return in_order[at : at + 1] == [name] or (
        below < len(in_order) and in_order[below].startswith(f"{name}/")
    )


# -- what a merge moved --


def moved(
    ours: Iterable[Change], theirs: Iterable[Change], result: Iterable[Change], *, criss_cross: bool
) -> list[str]:
    """Return the paths at which a clean merge did something else than merge that one path, as it does when it
    follows a rename.

    `ours` and `theirs` lead from the common ancestor, or from each of several, to the two sides; `result`
    leads from our side to the merge. Where there are several ancestors, that one side deleted what the other
    touched proves nothing.
    """
    by_us, by_them = {change.path: change for change in ours}, {change.path: change for change in theirs}
    in_result = {change.path: change for change in result}
    paths = set(in_result) - set(by_them)
    for path, change in by_them.items():
        if path not in by_us:
            merged = in_result.get(path)
            is_theirs = merged is not None and _content(merged) == _content(change)
            if not is_theirs:
                paths.add(path)
        elif not criss_cross and _is_deletion(change) != _is_deletion(by_us[path]):
            paths.add(path)  # one changed what the other deleted
    return sorted(paths)


def _content(change: Change) -> tuple[str, str]:
    return change.new_mode, change.new_oid


def _is_deletion(change: Change) -> bool:
    return change.new_mode == ABSENT


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
