"""Owns having a Docker engine: ask whether one answers, else install and start one, and wait for it.

Rule: an engine that answers is used as it is; one that this started is left running for the next time.
HARNESS_ENGINE_DIR=DIR keeps such an engine's socket, data, log and pid file below DIR; beside another engine
it needs a network namespace of its own too (`unshare --net`), because engines share the bridge docker0.
HARNESS_ENGINE_ARGS are more arguments for it.
"""

import os
import shlex
import socket
import subprocess
import sys
import time

from machine import Cannot, agreed, as_root, find, install, is_debian, run, say

SOCKET = "/var/run/docker.sock"
PID_FILE = "/var/run/docker.pid"
LOG = "/var/log/harness-dockerd.log"
PING_S = 5.0
START_S = 60.0
POLL_S = 0.2
LOG_TAIL_LINES = 15
# Where the kernel or the container around us forbids packet filters: sandboxes have no network, and builds
# use the host's.
# An engine started so removes docker0, also when another engine uses it: never beside another.
WITHOUT_BRIDGE = ["--iptables=false", "--bridge=none"]

PACKAGES = ["docker.io", "mmdebstrap"]
WHAT_TO_INSTALL = """no Docker engine answers at {where}.
  macOS: install Docker Desktop or colima, start it, and see that `docker version` shows a server.
  Fedora, Arch and others: install the distribution's docker or moby-engine, and start it
  (`systemctl start docker`).
  An engine elsewhere: DOCKER_HOST=unix:///path/to/docker.sock make ..."""


def ensure():
    where = os.environ.get("DOCKER_HOST") or "unix://" + (private("docker.sock") or SOCKET)
    if not where.startswith("unix://"):
        return  # a remote engine: the harness itself says what is wrong with it
    path = where[len("unix://") :]
    answer = ping(path)
    if answer == "denied":
        raise Cannot(
            "the Docker engine's socket %s is closed to you.\n"
            "  Join its group: sudo usermod -aG docker $USER, then log in again (or `newgrp docker`)" % path
        )
    if answer == "ok":
        return
    if not can_provide(sys.platform, installed=find("dockerd") is not None, debian=is_debian()):
        raise Cannot(WHAT_TO_INSTALL.format(where=where))
    if path not in (SOCKET, "/run/docker.sock", private("docker.sock")):
        raise Cannot("no Docker engine answers at DOCKER_HOST=%s; start it, or unset DOCKER_HOST" % where)
    provide(path)


def can_provide(platform, installed, debian):
    """Return whether an engine can be had: only on Linux is it a process of this machine, and only Debian's
    packages are known here.
    """
    return platform.startswith("linux") and (installed or debian)


def provide(path):
    if find("dockerd") is None:
        install(PACKAGES, "No Docker engine answers at %s." % path)
        if wait(path, 5.0):  # where an init system runs, the package starts it
            return
    root = as_root()
    if root is None:
        raise Cannot(
            "a Docker engine is installed but does not run, and only root can start it: "
            "dockerd, or `systemctl start docker`"
        )
    if not agreed("Start the Docker engine?"):
        raise Cannot("no Docker engine runs")
    if os.path.isdir("/run/systemd/system") and not private("docker.sock"):
        run(root + ["systemctl", "start", "docker"], "systemctl start docker")
        if not wait(path, START_S):
            raise Cannot("docker.service started, but %s does not answer; see: journalctl -u docker" % path)
        return
    start(root, path)


def start(root, path):
    """Start dockerd in the background; a second time without a bridge, where packet filters are what it fails
    at.
    """
    log = private("dockerd.log") or LOG
    if private("dockerd.log"):
        os.makedirs(os.environ["HARNESS_ENGINE_DIR"], exist_ok=True)
    for more in [[]] if another_runs() else [[], WITHOUT_BRIDGE]:
        forget_stale_pid(root)
        argv = root + [
            find("dockerd"),
            "--host",
            "unix://" + path,
            "--pidfile",
            private("dockerd.pid") or PID_FILE,
        ]
        if os.geteuid():
            argv += ["--group", str(os.getgid())]
        if private("data"):
            argv += ["--data-root", private("data"), "--exec-root", private("exec")]
        argv += shlex.split(os.environ.get("HARNESS_ENGINE_ARGS", "")) + more
        say("starting the Docker engine (log %s)" % log)
        child = launch(argv, log)
        if wait(path, START_S, child):
            return
        if child.poll() is None:
            break  # alive and silent: another one beside it would not help
    raise Cannot("the Docker engine did not start:\n%s\n  its log: %s" % (tail(log), log))


def launch(argv, log):
    """Start a process in a session of its own, with none of our streams: neither Ctrl-C nor a closed pipe of
    `make` reaches it.
    """
    if os.access(os.path.dirname(log), os.W_OK):
        out = open(log, "ab")
    else:
        out = open(os.path.join(os.environ.get("TMPDIR", "/tmp"), os.path.basename(log)), "ab")
    with out:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/"
        )


def another_runs():
    """Return True if this machine has an engine already, wherever its socket is."""
    return any(is_engine(int(process)) for process in os.listdir("/proc") if process.isdigit())


def is_engine(pid):
    """Return whether that process is an engine: False also for one that has ended and that nobody has reaped,
    since it has no command line any more.
    """
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as command:
            return os.path.basename(command.read().split(b"\0")[0]) == b"dockerd"
    except OSError:
        return False


def forget_stale_pid(root):
    """Remove a pid file that names no engine: dockerd refuses to start while it names any living process,
    also one that took the number over.
    """
    file = private("dockerd.pid") or PID_FILE
    try:
        with open(file, encoding="ascii") as content:
            pid = int(content.read().strip())
    except (OSError, ValueError):
        return
    if not is_engine(pid):
        run(root + ["rm", "-f", file], "rm " + file)


def ping(path):
    """Return `ok`, `denied`, or `absent`."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(PING_S)
            wire.connect(path)
            wire.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return "ok" if b" 200 " in wire.recv(64) else "absent"
    except PermissionError:
        return "denied"
    except OSError:
        return "absent"


def wait(path, patience_s, child=None):
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if ping(path) == "ok":
            return True
        if child is not None and child.poll() is not None:
            return False
        time.sleep(POLL_S)
    return False


def private(name):
    """Return a place below HARNESS_ENGINE_DIR; None where that is not set."""
    folder = os.environ.get("HARNESS_ENGINE_DIR")
    return os.path.join(os.path.abspath(folder), name) if folder else None


def tail(log):
    try:
        with open(log, encoding="utf-8", errors="replace") as lines:
            return "".join(lines.readlines()[-LOG_TAIL_LINES:]).rstrip()
    except OSError:
        return "(no log)"
