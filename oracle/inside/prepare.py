"""Places a source tree in a box and builds it, as the user who owns the source: settings in argv, the tree's
tar on stdin.

Rule: when it has ended, nothing of that user runs any more and nobody else can write what it placed; standard
library only. Started as `python3 -I -S -c <leftovers.py and this file> SETTINGS`; answers with one JSON line.
"""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time

from oracle.inside.checking import TYPE_CHECKING
from oracle.inside.formats import HEAD_BYTES, is_compiled
from oracle.inside.leftovers import SystemV, empty, open_up
from oracle.inside.space import full

if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

TAIL_BYTES = 4_000  # of the build's output: an agent reads it
BUILD_TIMED_OUT = 124  # as coreutils' timeout says it
PLACES = ("src", "home", "tmp")
# The time of compiled code that came with a tree: older than every source, so that a build makes it again,
# and the first whole day that a zip archive can tell.
COMPILED_S = 315_619_200
# What a build adds is told path by path up to here, and a directory with more of it as one.
MADE_IN_DIRECTORY_MAX = 100
MADE_MAX = 1_000  # of all of it: some 100 KB
OPENED = [
    "(",
    "-type",
    "d",
    "!",
    "-perm",
    "-700",
    "-exec",
    "chmod",
    "u+rwx",
    "{}",
    ";",
    ")",
]  # before find goes into it
CLOSED = ["(", "-perm", "/022", "!", "-type", "l", "-exec", "chmod", "go-w", "{}", "+", ")"]


def main(settings: "Json") -> None:
    """Place the tree that comes on stdin, build it, and tell how that ended."""
    if os.getuid() != settings["user"] or not os.getuid():
        sys.exit("runs only as the user made for it: it kills every other process of its user")
    work, shared = settings["work"], settings["shared"]
    leave_nothing(shared)  # of an earlier build
    open_up(work)
    if names := os.listdir(work):
        subprocess.run(
            ["rm", "-rf", "--", *(os.path.join(work, name) for name in names)],
            check=False,
            stderr=subprocess.DEVNULL,
        )
        empty(work)  # what that could not: directories that their owner had closed
    for name in PLACES:
        os.mkdir(os.path.join(work, name))
    source = os.path.join(work, "src")
    if status := subprocess.run(
        ["tar", "-x", "--no-same-owner", "--no-same-permissions", "-C", source]
    ).returncode:
        why = "No space left on device; " if full([work]) else ""
        sys.exit(f"tar ended with {status}; {why}{room(work)}")
    give_times(source)
    if settings["build"]:
        # Whatever ends this process from here on is the build's doing.
        print(json.dumps({"placed": True}), flush=True)
    built = build(settings, work) if settings["build"] else None
    leave_nothing(shared)
    subprocess.run(["find", work, *OPENED, ",", *CLOSED], check=True)
    # A build may have shut others out, and with them every case.
    for place in (work, source):
        os.chmod(place, 0o755)
    print(json.dumps({"build": built}), flush=True)


def build(settings: "Json", work: str) -> "Json":
    """Run the suite's build; return its exit status and the end of its output. A daemon that it leaves behind
    holds no pipe of ours, because its output is a file.
    """
    log, source = os.path.join(work, "build.log"), os.path.join(work, "src")
    env = {
        "LANG": "C.UTF-8",
        **os.environ,
        **settings["env"],
        "HOME": os.path.join(work, "home"),
        "TMPDIR": os.path.join(work, "tmp"),
        "PYTHONPYCACHEPREFIX": os.path.join(work, "tmp", "pycache"),
    }
    placed = files_below(source)
    with open(log, "w+b") as out:
        running = subprocess.Popen(
            ["/bin/sh", "-c", settings["build"]],
            cwd=source,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = running.wait(settings["timeout_s"])
        except subprocess.TimeoutExpired:
            kill_others()
            running.wait()
            status = BUILD_TIMED_OUT
        out.seek(max(os.fstat(out.fileno()).st_size - TAIL_BYTES, 0))
        tail = out.read(TAIL_BYTES).decode("utf-8", "replace")
        made = added(placed, files_below(source))
        return {"exit": status, "tail": tail, "made": made, "full": full([work, *settings["shared"]])}


def give_times(source: str) -> None:
    """Give every file the same time, which is now, and compiled code one before it.

    A tool that goes by times then makes again what it has compiled, and takes nothing else for newer than
    what it was made of.
    """
    now_s = int(time.time())
    for directory, below, names in os.walk(source):
        for name in (*names, *below):
            path = os.path.join(directory, name)
            when_s = COMPILED_S if name in names and is_compiled(head(path)) else now_s
            os.utime(path, (when_s, when_s), follow_symlinks=False)


def head(path: str) -> bytes:
    """Return the first bytes of a plain file; none of anything else."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return b""
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def files_below(source: str) -> "set[str]":
    """Return every file below, by its path from there."""
    return {
        os.path.relpath(os.path.join(directory, name), source)
        for directory, _, names in os.walk(source)
        for name in names
    }


def added(before: "set[str]", after: "set[str]") -> "list[str]":
    """Return the new paths, of which a directory that is new and holds many is told as one, with a slash."""
    older = {directory for path in before for directory in directories(path)}
    held: dict[str, list[str]] = {}
    for path in sorted(after - before):
        outermost = next((above for above in directories(path) if above not in older), "")
        held.setdefault(outermost, []).append(path)
    made = []
    for directory, paths in held.items():
        made += [directory + "/"] if directory and len(paths) > MADE_IN_DIRECTORY_MAX else paths
    return sorted(path for path in made if path.isprintable())[:MADE_MAX]


def directories(path: str) -> "list[str]":
    """Return every directory that the path lies in, the outermost first."""
    return [path[:end] for end, sign in enumerate(path) if sign == "/"]


def room(place: str) -> str:
    """Return how full the box is, in words: tar does not say why it could not write on."""
    seen = os.statvfs(place)
    whole, free = (seen.f_frsize * blocks >> 20 for blocks in (seen.f_blocks, seen.f_bavail))
    return f"the box has {whole} MB for a tree and what is built of it, {free} MB of it are free now"


def leave_nothing(shared: list[str]) -> None:
    """Leave no process of this user, and nothing that a case or another tree's build could find where
    everybody may write.
    """
    kill_others()
    SystemV().clear()
    for place in shared:
        empty(place)


def kill_others() -> None:
    """Kill every other process of this user."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


if __name__ == "__main__":
    os.umask(0o022)
    main(json.loads(sys.argv[1]))
