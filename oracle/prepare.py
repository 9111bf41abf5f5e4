"""Places a source tree in a box and builds it, as the user who owns the source: settings in argv, the tree's tar on stdin.

Rule: when it has ended, nothing of that user runs any more and nobody else can write what it placed; standard library only.
Started as `python3 -I -S -c <this file> SETTINGS`; answers with one JSON line.
"""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys

TAIL_BYTES = 4_000  # of the build's output: an agent reads it
BUILD_TIMED_OUT = 124  # as coreutils' timeout says it
PLACES = ("src", "home", "tmp")


def main(settings):
    if os.getuid() != settings["user"] or not os.getuid():
        sys.exit("runs only as the user made for it: it kills every other process of its user")
    kill_others()
    work = settings["work"]
    for name in os.listdir(work):
        subprocess.run(["rm", "-rf", "--", os.path.join(work, name)], check=True)
    for name in PLACES:
        os.mkdir(os.path.join(work, name))
    source = os.path.join(work, "src")
    subprocess.run(["tar", "-x", "--no-same-owner", "--no-same-permissions", "-C", source], check=True)
    for name in settings["empty"]:
        make_empty(os.path.join(source, name))
    for name in settings["absent"]:
        make_absent(os.path.join(source, name))
    built = build(settings, work) if settings["build"] else None
    kill_others()
    subprocess.run(["find", work, "-perm", "/022", "!", "-type", "l", "-exec", "chmod", "go-w", "{}", "+"], check=True)
    print(json.dumps({"build": built}), flush=True)


def build(settings, work):
    """Runs the suite's build; a daemon that it leaves behind holds no pipe of ours, because its output is a file."""
    log = os.path.join(work, "build.log")
    env = {"LANG": "C.UTF-8", **os.environ, **settings["env"], "HOME": os.path.join(work, "home"), "TMPDIR": os.path.join(work, "tmp")}
    with open(log, "wb") as out:
        running = subprocess.Popen(
            ["/bin/sh", "-c", settings["build"]], cwd=os.path.join(work, "src"), env=env,
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status = running.wait(settings["timeout_s"])
        except subprocess.TimeoutExpired:
            kill_others()
            running.wait()
            status = BUILD_TIMED_OUT
    return {"exit": status, "tail": tail(log)}


def tail(path):
    with open(path, "rb") as log:
        log.seek(max(os.fstat(log.fileno()).st_size - TAIL_BYTES, 0))
        return log.read(TAIL_BYTES).decode("utf-8", "replace")


def make_empty(path):
    if os.path.isfile(path) and not os.path.islink(path):
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | stat.S_IWUSR)
        os.truncate(path, 0)


def make_absent(path):
    if os.path.lexists(path) and not os.path.isdir(path):
        os.unlink(path)


def kill_others():
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


if __name__ == "__main__":
    os.umask(0o022)
    main(json.loads(sys.argv[1]))
