"""Runs cases inside a box, as the box's least user: settings and cases in as JSON lines, answers out as JSON
lines.

Rule: it judges nothing, knows no expected answer, and shares nothing with a case but its user id; standard
library only. Started as `python3 -I -S -c <what this imports of ours, and this file>`; alone with its user id
in the box, so `kill(-1)` ends exactly what a case left.
"""

import base64
import contextlib
import errno
import gc
import glob
import json
import os
import select
import shlex
import signal
import stat
import sys
import time

from oracle.inside.altered import altered
from oracle.inside.checking import TYPE_CHECKING
from oracle.inside.leftovers import SystemV, empty
from oracle.inside.processes import (
    FirstToGo,
    adopt,
    kill_all,
    kill_children,
    kill_others,
    reap,
    set_dumpable,
)
from oracle.inside.space import full

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, NoReturn

    Json = dict[str, Any]

CHUNK_BYTES = 65_536
ERROR_BYTES_MAX = 4_096  # of a case's standard error: for the agent to read, never compared
PROJECT_ERROR_BYTES_MAX = 262_144  # of a test command's: a compiler says there why there are no results
NOT_RUNNABLE = 126  # as a shell says it
SPAWN_TRIES = 6  # a fork bomb of another slot may hold every process number for a moment
SHELL_SIGNS = set("|&;<>()$`\\*?[]#~!{}\n")
FLAGS = {"-S", "-E", "-I", "-s", "-B"}  # of a Python command; this interpreter itself runs with -I -S
SAY_BYTES, SAY_S = 32_768, 0.2  # answers kept back, so that each need not wake the engine and the runner
MARK = "\\not-utf-8:"
RESULTS_FILES_MAX = 5_000  # of a glob: one for each class of a large project


class Slot:
    """One place where one case after another runs."""

    def __init__(self, settings: "Json") -> None:
        self.settings = settings
        self.scratch: str = settings["scratch"]
        self.deadline = time.monotonic() + settings["deadline_s"]
        self.bytes_left: int = settings["total_bytes_max"]
        self.env: dict[str, str] = {
            "LANG": "C.UTF-8",
            **os.environ,
            **settings["env"],
            "HOME": self.scratch,
            "TMPDIR": self.scratch,
            # Bytecode that lies in the tree is not run, whatever it says that it was made of.
            "PYTHONPYCACHEPREFIX": os.path.join(self.scratch, "pycache"),
        }
        self.script = script(settings["command"]) if settings["fork"] else None
        self.program, self.argv = program(settings["command"], self.env.get("PATH", os.defpath))
        self.adopts = adopt()  # then every process that a case leaves is a child of this one
        self.system_v = SystemV()
        self.first_to_go = FirstToGo()
        self.poller = select.poll()
        self.woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.poller.register(self.woken, select.POLLIN)

    def answer(self, case: "Json") -> "Json | None":
        """Return one case's answer, or None when the box had no room to start it (its answer is then
        missing).
        """
        if time.monotonic() >= self.deadline:
            return {"id": case["id"], "late": True}
        began = time.monotonic()
        ended = self.run(case["input"].encode())
        self.clean()
        if ended is None:
            return None
        return {"id": case["id"], "ms": round((time.monotonic() - began) * 1000, 1), **ended}

    def run(self, stdin_bytes: bytes) -> "Json | None":
        """Run the command once; return how it ended, or None when the box had no room to start it."""
        out = Output(min(self.settings["output_bytes_max"], max(self.bytes_left, ERROR_BYTES_MAX)))
        err = Output(PROJECT_ERROR_BYTES_MAX if self.settings["copy"] else ERROR_BYTES_MAX)
        stdin = memory_file(stdin_bytes)
        try:
            pid = self.start((stdin, out.writer, err.writer))
            if pid is None:
                return None
            status, timed_out = self.watch(pid, out, err)
        except NotRunnable as error:
            return {"output": "", "exit": NOT_RUNNABLE, "error": str(error)}
        finally:
            os.close(stdin)
            out.close()
            err.close()
        self.bytes_left -= len(out.kept)
        return {
            "output": self.text(bytes(out.kept[: out.most])),
            "exit": os.waitstatus_to_exitcode(status),
            "error": bytes(err.kept).decode("utf-8", "replace"),
            **({"timed_out": True} if timed_out else {}),
            **({"truncated": True} if out.full else {}),
        }

    def start(self, fds: "Sequence[int]") -> "int | None":
        """Start the command; return its process id, or None when the box has no room for another process."""
        for attempt in range(SPAWN_TRIES):
            try:
                with self.first_to_go:
                    return self.fork(fds) if self.script else self.spawn(fds)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOMEM):
                    raise NotRunnable(str(error)) from error
                time.sleep(0.05 * 2**attempt)
        return None

    def spawn(self, fds: "Sequence[int]") -> int:
        """Start the command as a new program; return its process id."""
        actions = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate(fds)]
        defaults = [signal.SIGPIPE, signal.SIGXFSZ]
        return os.posix_spawn(
            self.program, self.argv, self.env, file_actions=actions, setsid=True, setsigdef=defaults
        )

    def fork(self, fds: "Sequence[int]") -> int:
        """Start the command in a fork of this interpreter; return its process id.

        This interpreter has loaded nothing of the candidate; a fork takes 1 ms, a new interpreter 9.
        """
        assert self.script is not None
        pid = os.fork()
        if pid == 0:
            become(self.script, fds, self.env)
        return pid

    def watch(self, pid: int, out: "Output", err: "Output") -> "tuple[int, bool]":
        """Read until the command itself ends; return its status, and whether its time was up.

        A daemon that it left behind may hold the pipes open for ever.
        """
        limit = time.monotonic() + self.settings["timeout_s"]
        opened = {out.reader: out, err.reader: err}
        for fd, output in opened.items():
            output.hand_over()
            self.poller.register(fd, select.POLLIN)
        status = None
        while status is None and not out.full and (left := limit - time.monotonic()) > 0:
            for fd, _ in self.poller.poll(left * 1000 + 1):
                if fd == self.woken:
                    drain(fd)
                    status = reap(pid)
                elif not opened[fd].take():
                    self.poller.unregister(fd)
                    del opened[fd]
        timed_out = status is None and not out.full
        if status is None:
            kill_others()
            status = os.waitpid(pid, 0)[1]
        kill_children() if self.adopts else kill_all()
        for fd, output in opened.items():
            self.poller.unregister(fd)
            while not output.full and output.take():
                pass
        return status, timed_out

    def text(self, data: bytes) -> str:
        """Return output as text: of a test command, which is read and not compared, byte by byte as it is."""
        return data.decode("utf-8", "backslashreplace") if self.settings["copy"] else text(data)

    def clean(self) -> None:
        """Leave the box to the next case as this one found it."""
        self.system_v.clear()
        empty(self.scratch)
        for place in self.settings["shared"]:
            empty(place)


def program(command: str, path: str) -> "tuple[str, list[str]]":
    """Return what to start: the command's own program, or a shell where it needs one (whose start costs every
    case 1 ms).
    """
    if SHELL_SIGNS.isdisjoint(command):
        words = shlex.split(command)
        found = None if "=" in words[0] else find(words[0], path)
        if found:
            return found, words
    return "/bin/sh", ["/bin/sh", "-c", command]


def script(command: str) -> "list[str] | None":
    """Return the words after `python3 -S -E` (or -I) where the command is such a script: what this
    interpreter can become.
    """
    words = shlex.split(command) if SHELL_SIGNS.isdisjoint(command) else []
    flags = [word for word in words[1:] if word.startswith("-")]
    first = 1 + len(flags)
    is_alike = set(flags) <= FLAGS and "-S" in flags and {"-E", "-I"} & set(flags)
    if is_alike and os.path.basename(words[0]) == "python3" and words[1:first] == flags:
        return words[first:]
    return None


def become(words: "list[str]", fds: "Sequence[int]", env: "Mapping[str, str]") -> "NoReturn":
    """In a fork: run the script as a new interpreter would, and never return."""
    status = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for at, fd in enumerate(fds):
            os.dup2(fd, at)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        set_dumpable(True)  # else its own files in /proc are not its own
        os.environ.clear()
        os.environ.update(env)
        sys.stdin, sys.stdout = open(0, errors="surrogateescape"), open(1, "w", errors="surrogateescape")  # noqa: SIM115
        sys.stderr = open(2, "w", errors="backslashreplace", buffering=1)  # noqa: SIM115
        sys.__stdin__ = sys.stdin  # type: ignore[misc]
        sys.__stdout__ = sys.stdout  # type: ignore[misc]
        sys.__stderr__ = sys.stderr  # type: ignore[misc]
        sys.argv = words
        sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
        gc.enable()
        module = sys.modules["__main__"] = type(sys)("__main__")
        module.__file__ = words[0]
        with open(words[0], "rb") as file:
            source = file.read()
        exec(compile(source, words[0], "exec"), module.__dict__)
        status = 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
        if status and not isinstance(left.code, int):
            print(left.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - whatever the script raises is told as an interpreter tells it
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            status = status or 120  # as an interpreter that cannot write its last words
        os._exit(status & 0xFF)


def find(name: str, path: str) -> "str | None":
    """Return where a program is, or None."""
    names = [name] if "/" in name else [os.path.join(place, name) for place in path.split(":")]
    return next((name for name in names if os.path.isfile(name) and os.access(name, os.X_OK)), None)


class NotRunnable(Exception):
    """The command's program cannot be started at all: no interpreter, not for this machine."""


class Output:
    """A pipe and what came out of it: `most` bytes are kept, and one more tells that there were more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept = bytearray()
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        self.is_handed_over = False
        # Only our end: a command must not meet a non-blocking standard output.
        os.set_blocking(self.reader, False)

    @property
    def full(self) -> bool:
        """Return True if more came than is kept."""
        return len(self.kept) > self.most

    def take(self) -> bool:
        """Read what is there; return False at the end or when nothing is there."""
        try:
            got = os.read(self.reader, CHUNK_BYTES)
        except BlockingIOError:
            return False
        self.kept += got[: self.most + 1 - len(self.kept)]
        return bool(got)

    def hand_over(self) -> None:
        """Close our writing end: the command has its own by now, and with ours the pipe would have no end."""
        os.close(self.writer)
        self.is_handed_over = True

    def close(self) -> None:
        """Close what is open of the pipe."""
        os.close(self.reader)
        if not self.is_handed_over:
            os.close(self.writer)


def memory_file(content: bytes) -> int:
    """Return the input as a file in memory: of any size, without a writer to feed while the command runs."""
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    at = 0
    while at < len(content):
        at += os.pwrite(fd, content[at:] if at else content, at)
    return fd


def drain(fd: int) -> None:
    """Read all that is there."""
    try:
        while os.read(fd, CHUNK_BYTES):
            pass
    except BlockingIOError:
        pass


def text(data: bytes) -> str:
    """Return UTF-8 as it is, and anything else escaped under a mark, so that different bytes never become the
    same text.
    """
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        decoded = MARK
    if not decoded.startswith(MARK):
        return decoded
    return MARK + data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def copy(source: str, scratch: str) -> str:
    """Copy the source, and return where to: a project's own tests may write beside their sources, and the
    source itself stays read-only.
    """
    import shutil

    target = os.path.join(scratch, "src")
    try:
        shutil.copytree(source, target, symlinks=True)
    except OSError:  # it names each file that could not be copied: a list without end
        if not full([scratch]):
            raise
        sys.exit(f"No space left on device: a copy of the tree does not fit into {scratch}")
    return target


def results_files(pattern: str) -> "list[str]":
    """Return the paths that a suite's results name, which may be a glob: as many as are read."""
    if os.path.lexists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True))[:RESULTS_FILES_MAX]


def collect(pattern: str, most: int) -> "list[Json]":
    """Return the files that the command wrote, if plain and this user's: `most` bytes of all together."""
    found = []
    for path in results_files(pattern):
        data = contents(path, most)
        if data is not None:
            most -= len(data[0])
            content = base64.b64encode(data[0]).decode()
            found.append({"path": os.path.relpath(path), "content": content, "bytes": data[1]})
    return found


def contents(path: str, most: int) -> "tuple[bytes, int] | None":
    """Return the first `most` bytes of a file and how many it has; None unless plain and this user's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        os.close(fd)
        return None
    with open(fd, "rb") as file:
        return file.read(most), status.st_size


def plant(files: "Mapping[str, str]") -> "str | None":
    """Add files to the copy; return what stood in the way, if anything did."""
    try:
        for path, content in files.items():
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            os.chmod(os.path.dirname(path) or ".", 0o700)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(fd, "w") as file:
                file.write(content)
    except OSError as error:
        return str(error)
    return None


def plant_altered(tests: "Sequence[Mapping[str, str]]") -> "str | None":
    """Add a copy of the first of the tests that can be altered, with its file's mode and times; return its
    id, None where none can be.
    """
    for test in tests:
        try:
            with open(test["path"], encoding="utf-8", newline="") as file:
                source = altered(file.read(), test["scope"], test["name"])
            if source is None or plant({test["copy"]: source}) is not None:
                continue
            status = os.stat(test["path"])
            os.chmod(test["copy"], stat.S_IMODE(status.st_mode))
            os.utime(test["copy"], ns=(status.st_atime_ns, status.st_mtime_ns))
        except (OSError, ValueError, RecursionError):
            continue
        return test["id"]
    return None


def project(slot: Slot, settings: "Json") -> "Json | None":
    """Run a project's own test command, and take in the files in which it reports.

    A file that was there before it counts for nothing.
    """
    wrong = plant(settings["plant"])
    if wrong is not None:
        return {"id": "command", "output": "", "exit": NOT_RUNNABLE, "error": wrong, "unplanted": True}
    altered_id = plant_altered(settings["altered"])
    pattern = settings["collect"]
    for path in results_files(pattern) if pattern else ():
        with contextlib.suppress(OSError):  # another user's, which is never collected
            os.unlink(path)
    ended = slot.run(b"")
    if ended is not None and pattern:
        ended["collected"] = collect(pattern, settings["results_bytes_max"])
        ended["directory"] = os.getcwd()
    if ended is not None:
        ended["full"] = full([settings["scratch"], *settings["shared"]])
    slot.clean()
    return None if ended is None else {"id": "command", "altered": altered_id, **ended}


def tell(answers: "Iterable[Json | None]", at_once: bool) -> None:
    """Write answers as lines. Unless `at_once`, several in one write, since each write wakes the engine and
    the runner.

    What a case that kills this process takes with it is then run once more, at once: told before the next
    case can do harm.
    """
    kept, said_at = bytearray(), time.monotonic()
    for answer in answers:
        if answer is not None:
            kept += json.dumps(answer).encode() + b"\n"
        if at_once or len(kept) >= SAY_BYTES or time.monotonic() - said_at >= SAY_S:
            say(kept)
            kept, said_at = bytearray(), time.monotonic()
    say(kept)


def say(data: "bytes | bytearray") -> None:
    """Write all of it to whoever started this process."""
    while data:
        data = data[os.write(1, data) :]


def ready() -> "tuple[Json, list[bytes]]":
    """Return the settings and the lines after them, once nothing that is left of this user runs or lies
    about.
    """
    first, *rest = sys.stdin.buffer.read().splitlines()
    settings = json.loads(first)
    if os.getuid() != settings["user"] or not os.getuid():
        sys.exit("runs only as the user made for it: it kills every other process of its user")
    kill_all()  # what an earlier job of this user may have left
    set_dumpable(False)
    for place in (settings["scratch"], *settings["shared"]):
        empty(place)
    os.umask(0o077)
    # Whatever ends this process from here on, the image and the box are not to blame.
    say(b'{"ready": true}\n')
    return settings, rest


def main() -> None:
    """Answer the cases that come on stdin, or run the one command of a project."""
    settings, rest = ready()
    os.chdir(copy(settings["cwd"], settings["scratch"]) if settings["copy"] else settings["cwd"])
    slot = Slot(settings)
    gc.disable()
    gc.freeze()  # a collection, here or in a fork, would copy every page that the two share
    if settings["copy"]:
        tell([project(slot, settings)], settings["at_once"])
    else:
        tell((slot.answer(json.loads(line)) for line in rest), settings["at_once"])


if __name__ == "__main__":
    main()
