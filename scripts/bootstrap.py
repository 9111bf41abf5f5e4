"""Make a machine ready: `bootstrap.py [environment] [git] [engine] [compose] [strace] [npm]`, by default the
first three.

Rule: what is there already is used and costs milliseconds; what is missing is installed, or told with the
command to type.
"""

import re
import subprocess
import sys

import engine
import environment
import machine

# The landing gate merges without a work tree: `git merge-tree --write-tree`, new in 2.38.
OLDEST_GIT = (2, 38)


def git():
    """Install git if it is missing; raise Cannot for one that is too old."""
    if machine.find("git") is None:
        machine.install(["git"], "git is missing.")
    line = subprocess.run(["git", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    version = re.search(r"(\d+)\.(\d+)", line)
    if version is None or tuple(map(int, version.groups())) < OLDEST_GIT:
        raise machine.Cannot(
            "git %d.%d or newer is needed (merge-tree --write-tree); this is %s.\n"
            "  Debian 12 and newer have it; on Debian 11 it is in bullseye-backports"
            % (OLDEST_GIT + (line.strip(),))
        )


def compose():
    """Install docker-compose, for the test of compose.yaml alone: without it that test is skipped, so its
    absence stops nothing.
    """
    if machine.find("docker-compose") or not machine.is_debian():
        return
    try:
        machine.install(["docker-compose"], "One test brings compose.yaml up, with docker-compose.")
    except machine.Cannot as cannot:
        machine.say("going on without docker-compose: %s" % cannot)


def strace():
    """Install strace, for the tests of power loss alone, which are skipped without it: they record what a
    server writes, and replay it.
    """
    if machine.find("strace") or not machine.is_debian():
        return
    try:
        machine.install(["strace"], "The tests of power loss record a server's writes with strace.")
    except machine.Cannot as cannot:
        machine.say("going on without strace: %s" % cannot)


def npm():
    """Install npm, from which the official MCP programs come."""
    if machine.find("npm") is None:
        machine.install(["npm"], "npm installs the official MCP programs.")


STEPS = {
    "environment": environment.ensure,
    "git": git,
    "engine": engine.ensure,
    "compose": compose,
    "strace": strace,
    "npm": npm,
}


def main(names):
    try:
        for name in names or ("environment", "git", "engine"):
            STEPS[name]()
    except machine.Cannot as cannot:
        print("setup: %s" % cannot, file=sys.stderr)
        return machine.EXIT_CANNOT
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the same command takes it up again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
