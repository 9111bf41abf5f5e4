"""What a disk may hold after the power has gone: the writes of a traced server, replayed with any of the
unsynced ones lost.

The disk that is meant is one with a journal of names (ext4, XFS): a name that was made, moved or removed is
durable once any file or directory is synced with `fsync` later, and names are lost in no other order than the
newest first. `fdatasync` makes a file's own bytes durable, its length and its own making, and nothing else.
Bytes that were not synced are lost in any combination of sectors.
"""

import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
PACK_HEADER_BYTES, CHECKSUM_BYTES = 12, 20
CALLS = (
    "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "link,linkat,symlink,symlinkat,lseek,recvfrom,copy_file_range,sendfile,fallocate"
)
LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)", re.DOTALL)
UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$", re.DOTALL)
RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$", re.DOTALL)
FD = re.compile(r"^(\d+|AT_FDCWD)<([^>]*)>")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
MARK = re.compile(rb"GET /health\?mark=(\d+) ")


def traced(out: Path, argv: list[str]) -> list[str]:
    """The command that runs `argv` and writes down what it and its children do to files."""
    return [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-y",
        "-xx",
        "-s",
        "67108864",
        "-e",
        "signal=none",
        "-o",
        str(out),
        "-e",
        f"trace={CALLS}",
        *argv,
    ]


def why_not() -> str | None:
    """Why nothing can be traced here."""
    if shutil.which("strace") is None:
        return "strace is not installed (scripts/bootstrap.py strace)"
    tried = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"], capture_output=True, text=True
    )
    return f"strace cannot trace here: {tried.stderr.strip()[-200:]}" if tried.returncode else None


@dataclass(frozen=True)
class Op:
    """One thing done to the disk. `what`: make, write, cut, append, seek, place, sync, datasync, name,
    unname, move, link, directory, symlink, mark.
    """

    what: str
    path: str = ""
    other: str = ""
    at: int = 0
    data: bytes = b""
    fd: int = -1  # a file can be open twice, with a place in it each


def read(trace: Path, root: Path) -> list[Op]:
    """What was done below `root`, in order, and the marks that clients left by asking for /health?mark=N."""
    return list(_ops(_whole_lines(trace), str(root)))


def _whole_lines(trace: Path) -> Iterator[str]:
    begun: dict[str, str] = {}
    with open(trace) as file:
        for line in file:
            line = line.rstrip("\n")
            if cut := UNFINISHED.match(line):
                begun[cut[1]] = line[: -len(" <unfinished ...>")]
            elif rest := RESUMED.match(line):
                yield begun.pop(rest[1], "") + rest[2]
            else:
                yield line


def _ops(lines: Iterable[str], root: str) -> Iterator[Op]:
    at_home: dict[str, str] = {}  # the directory that each process is in, as its calls of openat tell
    for line in lines:
        found = LINE.match(line)
        if found is None or found[4].startswith("-") or found[4] == "?":
            continue
        pid, call, given, answer, rest = found.groups()
        if call == "recvfrom":
            if mark := MARK.search(_bytes(given)[:64]):
                yield Op("mark", at=int(mark[1]))
            continue
        if call == "openat" and given.startswith("AT_FDCWD<"):
            at_home[pid] = _plain(FD.match(given)[2])  # type: ignore[index]
        yield from (
            op
            for op in _op(call, given, int(answer), rest, at_home.get(pid, "/"))
            if f"{op.path}/".startswith(f"{root}/")
        )


def _op(call: str, given: str, answer: int, rest: str, home: str) -> Iterator[Op]:
    fd = FD.match(given)
    path, number = (_plain(fd[2]), int(fd[1]) if fd[1].isdigit() else -1) if fd else ("", -1)
    match call:
        case "openat":
            opened = _plain(rest[rest.index("<") + 1 : rest.rindex(">")])
            if "O_CREAT" in given:
                yield Op("make", opened)
            if "O_TRUNC" in given:
                yield Op("cut", opened)
            if "O_WRONLY" in given or "O_RDWR" in given:
                yield Op("append" if "O_APPEND" in given else "seek", opened, fd=answer)
        case "write":
            yield Op("write", path, at=-1, data=_bytes(given)[:answer], fd=number)
        case "pwrite64":
            yield Op("write", path, at=int(given.rsplit(", ", 1)[1]), data=_bytes(given)[:answer])
        case "writev" | "pwritev" | "copy_file_range" | "sendfile" | "fallocate":
            yield Op("unknown", path, call)
        case "lseek":
            yield Op("place", path, at=answer, fd=number)
        case "ftruncate":
            yield Op("cut", path, at=int(given.rsplit(", ", 1)[1]))
        case "fsync" | "fdatasync":
            yield Op("sync" if call == "fsync" else "datasync", path)
        case "mkdir" | "mkdirat" | "unlink" | "rmdir" | "unlinkat":
            yield Op("directory" if call.startswith("mkdir") else "unname", _named(given, home)[0])
        case "rename" | "renameat" | "renameat2" | "link" | "linkat":
            old, new = _named(given, home)
            yield Op("move" if call.startswith("rename") else "link", new, old)
        case "symlink" | "symlinkat":
            target, name = (_text(one) for one in TEXT.findall(given))
            yield Op("symlink", _absolute(name, home), target)


def _named(given: str, home: str) -> list[str]:
    return [_absolute(_text(name), home) for name in TEXT.findall(given)]


def _absolute(name: str, home: str) -> str:
    parts: list[str] = []
    for part in (name if name.startswith("/") else f"{home}/{name}").split("/"):
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _bytes(given: str) -> bytes:
    found = TEXT.search(given)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def _text(hexed: str) -> str:
    return bytes.fromhex(hexed.replace("\\x", "")).decode("utf-8", "surrogateescape")


def _plain(path: str) -> str:
    return _text(path) if path.startswith("\\x") else path


@dataclass
class File:
    """The bytes that programs see, those that are safe, and what was done to them since."""

    live: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    since: list[tuple[int, bytes | None]] = field(
        default_factory=list
    )  # (at, bytes), or (length, None) for a cut
    at: dict[int, int] = field(default_factory=dict)  # by descriptor; -1 where it appends

    def write(self, op: "Op") -> None:
        at, data = op.at, op.data
        if at < 0:
            place = self.at.get(op.fd, 0)
            at = len(self.live) if place < 0 or self._completes_a_pack(place, data) else place
            self.at[op.fd] = place if place < 0 else at + len(data)
        _put(self.live, at, data)
        self.since.append((at, data))

    def _completes_a_pack(self, place: int, data: bytes) -> bool:
        """git index-pack, when it has added to a pack, writes the header again, reads on to the end, and
        there writes the checksum.

        What is read is not traced: the answers would be most of a trace.
        """
        return self.live.startswith(b"PACK") and (place, len(data)) == (PACK_HEADER_BYTES, CHECKSUM_BYTES)

    def cut(self, length: int) -> None:
        _cut(self.live, length)
        self.since.append((length, None))

    def sync(self) -> None:
        self.safe, self.since = bytes(self.live), []

    def after(self, keep: Callable[[], bool]) -> bytes:
        """The bytes after the power has gone: of each sector's unsynced writes, those that `keep` says
        arrived.
        """
        found = bytearray(self.safe)
        for at, data in self.since:
            if data is None:
                if keep():
                    _cut(found, at)
                continue
            for start in range(at - at % SECTOR, at + len(data), SECTOR):
                if keep():
                    first, end = max(start, at), min(start + SECTOR, at + len(data))
                    _put(found, first, data[first - at : end - at])
        return bytes(found)


def _put(into: bytearray, at: int, data: bytes) -> None:
    if len(into) < at:
        into.extend(bytes(at - len(into)))
    into[at : at + len(data)] = data


def _cut(into: bytearray, length: int) -> None:
    del into[length:]
    into.extend(bytes(length - len(into)))


class Disk:
    """The files below one directory, as the operations done so far left them. `lies`: a path whose syncs the
    disk only pretends.
    """

    def __init__(self, root: Path, lies: Callable[[str], bool] = lambda path: False):
        self._root, self._lies = str(root), lies
        self._names: dict[str, File | str | None] = {}  # a directory is None, a symlink its target
        self._log: list[tuple[str, str, str, File | None]] = []
        self._durable = 0  # how many of the log's entries are

    def do(self, op: Op) -> None:
        found = self._names.get(op.path)
        match op.what:
            case "make" if op.path not in self._names:
                self._note("name", op.path, "", File())
            case "directory" if op.path not in self._names:
                self._note("directory", op.path, "", None)
            case "symlink":
                self._note("symlink", op.path, op.other, None)
            case "unname":
                self._note("unname", op.path, "", None)
            case "move" | "link":
                self._note(op.what, op.path, op.other, None)
            case "sync" | "datasync" if not self._lies(op.path):
                if op.what == "sync" or found is None:  # a directory's fdatasync is a sync of its names
                    self._durable = len(self._log)
                if isinstance(found, File):
                    self._durable = max(self._durable, self._made_at(found))
                    found.sync()
            case "write" | "cut" | "seek" | "append" | "place" if isinstance(found, File):
                self._to_file(found, op)
            case "unknown":
                raise AssertionError(f"{op.other} to {op.path}: the replay does not know this call")

    @staticmethod
    def _to_file(file: File, op: Op) -> None:
        match op.what:
            case "write":
                file.write(op)
            case "cut":
                file.cut(op.at)
            case "seek":
                file.at[op.fd] = 0
            case "append":
                file.at[op.fd] = -1
            case "place" if file.at.get(op.fd, 0) >= 0:
                file.at[op.fd] = op.at

    def _note(self, what: str, path: str, other: str, file: File | None) -> None:
        entry = (what, path, other, file)
        self._log.append(entry)
        _apply(self._names, entry)

    def _made_at(self, file: File) -> int:
        """Up to where the log must be kept for this file to have the name that it was made with."""
        return next((number for number, entry in enumerate(self._log, 1) if entry[3] is file), 0)

    def after_power_loss(self, chance: random.Random) -> dict[str, bytes | str | None]:
        """What is there afterwards: bytes of files, targets of symlinks, None for directories."""
        kept = chance.choice((self._durable, len(self._log), chance.randint(self._durable, len(self._log))))
        names: dict[str, File | str | None] = {}
        for entry in self._log[:kept]:
            _apply(names, entry)
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))  # nothing unsynced, a little, half, most, all
        bytes_of: dict[int, bytes] = {}
        found: dict[str, bytes | str | None] = {}
        for path, what in names.items():
            if isinstance(what, File):
                found[path] = bytes_of.setdefault(id(what), what.after(lambda: chance.random() < share))
            else:
                found[path] = what
        return found

    def unsynced(self) -> int:
        """How much could be lost now."""
        return (
            len(self._log)
            - self._durable
            + sum(len(file.since) for file in self._names.values() if isinstance(file, File))
        )


def _apply(names: dict, entry: tuple[str, str, str, File | None]) -> None:
    what, path, other, file = entry
    match what:
        case "name":
            names[path] = file
        case "directory":
            names[path] = None
        case "symlink":
            names[path] = other
        case "unname":
            names.pop(path, None)
        case "link" if other in names:
            names[path] = names[other]
        case "move" if other in names:
            below = [name for name in names if name == other or name.startswith(f"{other}/")]
            for name in below:
                names[path + name.removeprefix(other)] = names.pop(name)


def build(found: dict[str, bytes | str | None], root: Path, where: Path) -> None:
    """Writes such a state of `root` below `where`."""
    for path, what in sorted(found.items()):
        here = where / path.removeprefix(str(root)).lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            here.mkdir(exist_ok=True)
        elif isinstance(what, str):
            here.symlink_to(what)
        else:
            here.write_bytes(what)
