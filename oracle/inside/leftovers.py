"""Removes what a user left in a box beside processes: files, and System V's shared memory, queues and
semaphores.

Rule: it runs inside the box, put before the scripts that use it; standard library only.
"""

import contextlib
import os
import stat

LIST_BYTES = 65_536  # of one kind's list; what is beyond it is seen once the first are gone


def empty(place: str) -> None:
    """Remove what this user has in a directory; `place` itself stays.

    No nesting is too deep: what lies in a directory is moved up first.
    """
    try:
        if os.lstat(place).st_uid == os.getuid():
            open_up(place)
        todo = [entry.path for entry in os.scandir(place)]
    except OSError:
        return
    while todo:
        path = todo.pop()
        with contextlib.suppress(OSError):  # another user's: not this one's doing
            if stat.S_ISDIR(os.lstat(path).st_mode):
                todo += move_up(path, place)
                os.rmdir(path)
            else:
                os.unlink(path)


def move_up(directory: str, place: str) -> list[str]:
    """Empty one directory; return the paths in `place` under which its own directories are then."""
    open_up(directory)
    moved = []
    for entry in list(os.scandir(directory)):
        with contextlib.suppress(OSError):  # as above
            if entry.is_dir(follow_symlinks=False):
                open_up(entry.path)
                up = os.path.join(place, f".{os.urandom(8).hex()}")
                os.rename(entry.path, up)
                moved.append(up)
            else:
                os.unlink(entry.path)
    return moved


def open_up(directory: str) -> None:
    """Give the directory the permissions without which it cannot be listed, emptied and moved."""
    if stat.S_IMODE(os.lstat(directory).st_mode) & 0o700 != 0o700:
        os.chmod(directory, 0o700)


class SystemV:
    """What this user made of System V's means of communication, which outlive the process that made them
    (sysvipc(7)).
    """

    # With the column of the creator in the kind's list.
    KINDS = (("shm", 9, "shmctl"), ("msg", 9, "msgctl"), ("sem", 6, "semctl"))

    def __init__(self) -> None:
        self.lists: list[tuple[int, int, str]] = []
        for name, column, call in self.KINDS:
            with contextlib.suppress(OSError):  # a kernel without it
                self.lists.append(
                    (os.open(f"/proc/sysvipc/{name}", os.O_RDONLY | os.O_CLOEXEC), column, call)
                )

    def clear(self) -> None:
        """Remove all of it."""
        for fd, column, call in self.lists:
            own = made_here(fd, column)
            while own and any([remove(call, number) for number in own]):
                own = made_here(fd, column)


def made_here(fd: int, column: int) -> list[int]:
    """Return the numbers of what this user made, from one kind's list."""
    rows = [line.split() for line in os.pread(fd, LIST_BYTES, 0).split(b"\n")[1:-1]]
    return [int(row[1]) for row in rows if row[column] == b"%d" % os.getuid()]


def remove(call: str, number: int) -> bool:
    """Remove one of them; return True if it is gone.

    0 is IPC_RMID for each of the calls; an image's Python may have no ctypes.
    """
    try:
        import ctypes

        return bool(getattr(ctypes.CDLL(None), call)(number, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False
