"""Owns what the set-up may do to this machine: say what is missing, ask, and install Debian packages.

Rule: standard library only, and a Python older than the project needs must still reach the message that says
so.
"""

import os
import shutil
import subprocess
import sys

EXIT_CANNOT = 3
APT_LOCK_S = 300  # an unattended upgrade may hold apt's lock on a fresh machine
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Cannot(Exception):
    """The set-up cannot go on; the message tells a person what to do."""


def say(line):
    print("setup: " + line, file=sys.stderr, flush=True)


def find(program):
    """Return the program's path; daemons lie where only root's PATH leads."""
    return shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":" + SBIN)


def is_debian(release="/etc/os-release"):
    """Return True for Debian and what calls itself like it."""
    try:
        with open(release, encoding="utf-8") as lines:
            fields = dict(line.rstrip().split("=", 1) for line in lines if "=" in line)
    except OSError:
        return False
    names = (fields.get("ID", "") + " " + fields.get("ID_LIKE", "")).replace('"', "").split()
    return "debian" in names and find("apt-get") is not None


def as_root():
    """Return the words to put before a command so that root runs it; None where that cannot be."""
    if os.geteuid() == 0:
        return []
    if find("sudo") is None:
        return None
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]


def agreed(question):
    """Ask a person. Return True if they agree; who is not at a terminal, or says YES=1, has agreed."""
    if os.environ.get("YES") == "1" or os.environ.get("CI") or not sys.stdin.isatty():
        return True
    answer = input("setup: " + question + " [Y/n] ")
    return answer.strip().lower() in ("", "y", "yes")


def install(packages, why):
    """Install Debian packages, or raise Cannot with the command to type."""
    command = "apt-get install --no-install-recommends " + " ".join(packages)
    if not is_debian():
        raise Cannot(
            "%s\n  This set-up installs packages on Debian and its kin only; "
            "here, install by your own means: %s" % (why, ", ".join(packages))
        )
    root = as_root()
    if root is None:
        raise Cannot("%s\n  As root: %s" % (why, command))
    if not agreed("%s Run `%s`?" % (why, " ".join(root) + " " + command if root else command)):
        raise Cannot("not installed: " + ", ".join(packages))
    say("installing " + ", ".join(packages))
    apt = root + [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-o",
        "DPkg::Lock::Timeout=%d" % APT_LOCK_S,
    ]
    run(apt + ["update"], "apt-get update")
    run(apt + ["-y", "install", "--no-install-recommends"] + list(packages), command)


def run(argv, what):
    """Run a command quietly; raise Cannot with its output if it fails."""
    stdin = None if sys.stdin.isatty() else subprocess.DEVNULL  # sudo may ask for a password
    done = subprocess.run(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Cannot("%s failed:\n%s" % (what, done.stdout.decode(errors="replace").strip()))
