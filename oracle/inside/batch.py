"""Runs cases inside a box, as the box's least user: settings and cases in as JSON lines, answers out as JSON
lines.

Rule: it judges nothing, knows no expected answer, and shares nothing with a case but its user id; standard
library only. Started as `python3 -I -S -c <what this imports of ours, and this file>`; alone with its user id
in the box, so `kill(-1)` ends exactly what a case left.
"""

import contextlib
import errno
import gc
import json
import os
import select
import shlex
import signal
import stat
import sys
import time

from oracle.inside.leftovers import SystemV, empty
from oracle.inside.processes import FirstToGo, adopt, dumpable, kill_all, kill_children, kill_others, reaped

CHUNK_BYTES = 65_536
ERROR_BYTES_MAX = 4_096  # of a case's standard error: for the agent to read, never compared
PROJECT_ERROR_BYTES_MAX = 262_144  # of a test command's: a compiler says there why there are no results
NOT_RUNNABLE = 126  # as a shell says it
SPAWN_TRIES = 6  # a fork bomb of another slot may hold every process number for a moment
SHELL_SIGNS = set("|&;<>()$`\\*?[]#~!{}\n")
FLAGS = {"-S", "-E", "-I", "-s", "-B"}  # of a Python command; this interpreter itself runs with -I -S
SAY_BYTES, SAY_S = 32_768, 0.2  # answers kept back, so that each need not wake the engine and the runner
MARK = "\\not-utf-8:"


class Slot:
    """One place where one case after another runs."""

    def __init__(self, settings):
        self.settings = settings
        self.scratch = settings["scratch"]
        self.deadline = time.monotonic() + settings["deadline_s"]
        self.bytes_left = settings["total_bytes_max"]
        self.env = {
            "LANG": "C.UTF-8",
            **os.environ,
            **settings["env"],
            "HOME": self.scratch,
            "TMPDIR": self.scratch,
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

    def answer(self, case):
        """One case's answer as a dict, or None when the box had no room to start it (its answer is then
        missing).
        """
        if time.monotonic() >= self.deadline:
            return {"id": case["id"], "late": True}
        began = time.monotonic()
        ended = self.run(case["input"].encode())
        self.clean()
        return ended and {"id": case["id"], "ms": round((time.monotonic() - began) * 1000, 1), **ended}

    def run(self, given):
        out = Output(min(self.settings["output_bytes_max"], max(self.bytes_left, ERROR_BYTES_MAX)))
        err = Output(PROJECT_ERROR_BYTES_MAX if self.settings["copy"] else ERROR_BYTES_MAX)
        stdin = memory_file(given)
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
            "output": text(bytes(out.kept[: out.most])),
            "exit": os.waitstatus_to_exitcode(status),
            "error": bytes(err.kept).decode("utf-8", "replace"),
            **({"timed_out": True} if timed_out else {}),
            **({"truncated": True} if out.full else {}),
        }

    def start(self, fds):
        """The process id, or None when the box has no room for another process."""
        for attempt in range(SPAWN_TRIES):
            try:
                with self.first_to_go:
                    return self.fork(fds) if self.script else self.spawn(fds)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOMEM):
                    raise NotRunnable(str(error)) from error
                time.sleep(0.05 * 2**attempt)
        return None

    def spawn(self, fds):
        actions = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate(fds)]
        defaults = [signal.SIGPIPE, signal.SIGXFSZ]
        return os.posix_spawn(
            self.program, self.argv, self.env, file_actions=actions, setsid=True, setsigdef=defaults
        )

    def fork(self, fds):
        """A fork of this interpreter, which has loaded nothing of the candidate, instead of a new one: 1 ms
        instead of 9.
        """
        pid = os.fork()
        if pid == 0:
            become(self.script, fds, self.env)
        return pid

    def watch(self, pid, out, err):
        """Reads until the command itself ends: a daemon that it left behind may hold the pipes open for ever."""
        limit = time.monotonic() + self.settings["timeout_s"]
        opened = {out.reader: out, err.reader: err}
        for fd, output in opened.items():
            output.handed_over()
            self.poller.register(fd, select.POLLIN)
        status = None
        while status is None and not out.full and (left := limit - time.monotonic()) > 0:
            for fd, _ in self.poller.poll(left * 1000 + 1):
                if fd == self.woken:
                    drain(fd)
                    status = reaped(pid)
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

    def clean(self):
        """The next case finds the box as this one found it."""
        self.system_v.clear()
        empty(self.scratch)
        for place in self.settings["shared"]:
            empty(place)


def program(command, path):
    """What to start: the command's own program, or a shell where it needs one (whose start costs every case 1
    ms).
    """
    if SHELL_SIGNS.isdisjoint(command):
        words = shlex.split(command)
        if found := "=" not in words[0] and find(words[0], path):
            return found, words
    return "/bin/sh", ["/bin/sh", "-c", command]


def script(command):
    """The words after `python3 -S -E` (or -I) where the command is such a script: what this interpreter can
    become.
    """
    words = shlex.split(command) if SHELL_SIGNS.isdisjoint(command) else []
    flags = [word for word in words[1:] if word.startswith("-")]
    first = 1 + len(flags)
    alike = set(flags) <= FLAGS and "-S" in flags and {"-E", "-I"} & set(flags)
    return (
        words[first:]
        if alike and os.path.basename(words[0]) == "python3" and words[1:first] == flags
        else None
    )


def become(words, fds, env):
    """In a fork: runs the script as a new interpreter would, and never returns."""
    status = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number, handler in ((signal.SIGCHLD, signal.SIG_DFL), (signal.SIGPIPE, signal.SIG_IGN)):
            signal.signal(number, handler)
        for at, fd in enumerate(fds):
            os.dup2(fd, at)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        dumpable(True)  # else its own files in /proc are not its own
        os.environ.clear()
        os.environ.update(env)
        sys.stdin, sys.stdout = open(0, errors="surrogateescape"), open(1, "w", errors="surrogateescape")  # noqa: SIM115
        sys.stderr = open(2, "w", errors="backslashreplace", buffering=1)  # noqa: SIM115
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
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


def find(name, path):
    names = [name] if "/" in name else [os.path.join(place, name) for place in path.split(":")]
    return next((name for name in names if os.path.isfile(name) and os.access(name, os.X_OK)), None)


class NotRunnable(Exception):
    """The command's program cannot be started at all: no interpreter, not for this machine."""


class Output:
    """A pipe and what came out of it: `most` bytes are kept, and one more tells that there were more."""

    def __init__(self, most):
        self.most = most
        self.kept = bytearray()
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(
            self.reader, False
        )  # only our end: a command must not meet a non-blocking standard output

    @property
    def full(self):
        return len(self.kept) > self.most

    def take(self):
        """Reads what is there; False at the end or when nothing is there."""
        try:
            got = os.read(self.reader, CHUNK_BYTES)
        except BlockingIOError:
            return False
        self.kept += got[: self.most + 1 - len(self.kept)]
        return bool(got)

    def handed_over(self):
        """The command has its own end by now; as long as we held one too, the pipe would have no end."""
        os.close(self.writer)
        self.writer = None

    def close(self):
        os.close(self.reader)
        if self.writer is not None:
            os.close(self.writer)


def memory_file(given):
    """The input as a file in memory: of any size without a writer that has to be fed while the command runs."""
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    at = 0
    while at < len(given):
        at += os.pwrite(fd, given[at:] if at else given, at)
    return fd


def drain(fd):
    try:
        while os.read(fd, CHUNK_BYTES):
            pass
    except BlockingIOError:
        pass


def text(data):
    """UTF-8 as it is; anything else escaped under a mark, so that different bytes never become the same text."""
    try:
        said = data.decode()
    except UnicodeDecodeError:
        said = MARK
    if not said.startswith(MARK):
        return said
    return MARK + data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def copied(source, scratch):
    """A project's own tests may write beside their sources, so they get a copy; the source itself stays
    read-only.
    """
    import shutil

    target = os.path.join(scratch, "src")
    shutil.copytree(source, target, symlinks=True)
    return target


def collected(path, most):
    """A file that the command wrote, if it is a plain one and this user's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        os.close(fd)
        return None
    with open(fd, "rb") as file:
        return text(file.read(most))


def planted(files):
    """Adds files to the copy; says what stood in the way, if anything did."""
    try:
        for path, said in files.items():
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            os.chmod(os.path.dirname(path) or ".", 0o700)
            with open(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w"
            ) as file:
                file.write(said)
    except OSError as error:
        return str(error)
    return None


def project(slot, settings):
    """The one command of a `command` suite, with the file in which it reports; one that was there before it
    counts for nothing.
    """
    wrong = planted(settings["plant"])
    if wrong is not None:
        return {"id": "command", "output": "", "exit": NOT_RUNNABLE, "error": wrong, "unplanted": True}
    path = settings["collect"] and os.path.join(os.getcwd(), settings["collect"])
    if path:
        with contextlib.suppress(OSError):  # not there, or another user's, which is never collected
            os.unlink(path)
    ended = slot.run(b"")
    if ended is not None and path:
        ended["collected"] = collected(path, settings["output_bytes_max"])
    slot.clean()
    return ended and {"id": "command", **ended}


def tell(answers, at_once):
    """Answers as lines. Unless `at_once`, several in one write, since each write wakes the engine and the
    runner.

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


def say(data):
    while data:
        data = data[os.write(1, data) :]


def ready():
    """The settings and the lines after them, once nothing that is left of this user runs or lies about."""
    first, *rest = sys.stdin.buffer.read().splitlines()
    settings = json.loads(first)
    if os.getuid() != settings["user"] or not os.getuid():
        sys.exit("runs only as the user made for it: it kills every other process of its user")
    kill_all()  # what an earlier job of this user may have left
    dumpable(False)
    for place in (settings["scratch"], *settings["shared"]):
        empty(place)
    os.umask(0o077)
    say(
        b'{"ready": true}\n'
    )  # whatever ends this process from here on, the image and the box are not to blame
    return settings, rest


def main():
    settings, rest = ready()
    os.chdir(copied(settings["cwd"], settings["scratch"]) if settings["copy"] else settings["cwd"])
    slot = Slot(settings)
    gc.disable()
    gc.freeze()  # a collection, here or in a fork, would copy every page that the two share
    if settings["copy"]:
        answers = [project(slot, settings)]
    else:
        answers = (slot.answer(json.loads(line)) for line in rest)
    tell(answers, settings["at_once"])


if __name__ == "__main__":
    main()
