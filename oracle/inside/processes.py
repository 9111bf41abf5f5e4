"""Processes of one user in a box: ends them, takes in those that have ended, and says which go first when
memory is short.

Rule: it runs inside the box, put before the scripts that use it; alone with its user id there; standard
library only.
"""

import contextlib
import os
import signal
import time

from oracle.inside.checking import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes
    from types import TracebackType

LEFTOVER_WAIT_S = 1.0  # until killed leftovers are gone; what is then left are zombies, which run nothing
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36  # prctl(2)
WALL = 0x40000000  # waitpid(2): children of every kind
LIBC: "list[ctypes.CDLL]" = []  # at most one; a fork has no time to load it again


class FirstToGo:
    """What is started within it: when the box is out of memory the case goes, not its executor.

    A process inherits the score; one's own can be set back, and costs a tenth of setting another's.
    """

    def __init__(self) -> None:
        self.score: int | None = None
        self.own = b""
        set_dumpable(True)  # else its own file in /proc is not its own; nothing else of this user runs yet
        try:
            score = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            self.own = os.pread(score, 16, 0)
            self.score = score
        except OSError:
            pass  # this kernel hides it
        set_dumpable(False)

    def __enter__(self) -> None:
        self.be(b"1000")

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        self.be(self.own)

    def be(self, score: bytes) -> None:
        """Set this process's own score, where the kernel lets it."""
        if self.score is not None:
            with contextlib.suppress(OSError):  # as above
                os.pwrite(self.score, score, 0)


def set_dumpable(allowed: bool) -> None:
    """Open or close this process's memory and open files to other processes of its user, as far as the box
    allows.

    What could be forged where it does not gains nothing: no expected answer is in this box.
    """
    prctl(PR_SET_DUMPABLE, int(allowed))


def adopt() -> bool:
    """Become the parent of every process below this one that loses its own; return True if that works."""
    return prctl(PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> bool:
    """Make the call; return True if the kernel did it. An image's Python may have no ctypes."""
    try:
        if not LIBC:
            import ctypes

            LIBC.append(ctypes.CDLL(None))
        return bool(LIBC[0].prctl(option, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def reap(pid: int) -> "int | None":
    """Take in every child that has ended; return the status of `pid` if it is among them."""
    status = None
    while True:
        try:
            ended, how = os.waitpid(-1, os.WNOHANG | WALL)
        except ChildProcessError:
            return status
        if ended == pid:
            status = how
        elif not ended:
            return status


def kill_children() -> None:
    """Do what `kill_all` does where every orphan becomes a child of this process: that none is left is then
    known at once.
    """
    until = time.monotonic() + LEFTOVER_WAIT_S
    while any_child() and time.monotonic() < until:
        kill_others()
        time.sleep(0.001)


def any_child() -> bool:
    """Take in every child that has ended; return True if one is left."""
    try:
        while os.waitpid(-1, os.WNOHANG | WALL)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def kill_all() -> None:
    """End every other process of this user, daemons and fork bombs included."""
    until = time.monotonic() + LEFTOVER_WAIT_S
    kill_others()
    while any_other() and time.monotonic() < until:
        time.sleep(0.001)
        kill_others()


def kill_others() -> None:
    """Kill every other process of this user, in one call: so that none can fork away from it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def any_other() -> bool:
    """Return True if this user has another process; its owner in /proc would not tell, a process can hide
    that.
    """
    own = os.getpid()
    return any(
        may_signal(int(name)) for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, own)
    )


def may_signal(pid: int) -> bool:
    """Return True if the process is there and this user's."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
