"""Owns .venv: made once, and again when what it is made of changed.

Rule: its stamp is written last, so an interrupted one is redone.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile

from machine import Cannot, install, say

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "made-from")
MADE_OF = ("pyproject.toml", "constraints.txt")
OLDEST = (3, 11)
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")  # of an environment that `make` was called from


def ensure():
    check_python()
    if is_made():
        return
    name = "harness-venv-" + hashlib.sha256(ROOT.encode()).hexdigest()[:12] + ".lock"
    with open(os.path.join(tempfile.gettempdir(), name), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second finds it made
        if not is_made():
            make()


def check_python(version=sys.version_info):
    if version[:2] < OLDEST:
        raise Cannot(
            "Python %d.%d or newer is needed; this is %s.\n"
            "  Debian 12 and newer have it; elsewhere install one and say which: make PYTHON=python3.11 ..."
            % (OLDEST + (".".join(map(str, version[:3])),))
        )


def key():
    """Return a digest of what the environment depends on: its sources, this Python and the place, which
    editable installs remember.
    """
    digest = hashlib.sha256(("%s %s %s" % (ROOT, sys.version, sys.base_prefix)).encode())
    for name in MADE_OF:
        with open(os.path.join(ROOT, name), "rb") as source:
            digest.update(source.read())
    return digest.hexdigest()


def is_made():
    try:
        with open(STAMP, encoding="ascii") as stamp:
            return stamp.read().strip() == key() and os.path.exists(PYTHON)
    except OSError:
        return False


def make():
    if importlib.util.find_spec("ensurepip") is None:
        install(["python3-venv"], "Python's venv module is not complete here.")
    say("making .venv and installing the dependencies (about a minute the first time)")
    if os.path.exists(STAMP):
        os.unlink(STAMP)
    step([sys.executable, "-m", "venv", "--clear", VENV], "python3 -m venv")
    pip = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--constraint",
        "constraints.txt",
    ]
    step(pip + ["--editable", ".[test]"], "pip install")
    with open(STAMP + ".new", "w", encoding="ascii") as stamp:
        stamp.write(key() + "\n")
    os.replace(STAMP + ".new", STAMP)


def step(argv, what):
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    status = subprocess.call(argv, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL)
    if status:
        raise Cannot(
            "%s failed with status %d (above is why); the same command takes it up again" % (what, status)
        )
