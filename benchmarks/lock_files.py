"""Owns claiming as swarms did it: a lock file per task, committed and pushed to main; who is rejected pulls
and looks again.

Rule: plain git, each worker with a clone of its own, as their prompts told them: pull --rebase, write the
lock, commit, push, retry.
"""

import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

BRANCH = "main"
PUSHES_MAX = 50  # a worker that is rejected more often on one claim gives it up


@dataclass
class Tally:
    took_s: list[float] = field(default_factory=list)  # of each claim that was won
    rejected: int = 0
    lost: int = 0  # claims whose task somebody else had taken meanwhile


def measure(root: Path, workers: int, claims: int) -> tuple[Tally, float]:
    """`claims` in all, and the seconds from the common start until all are made."""
    bare = root / "bare.git"
    _git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(bare), cwd=root)
    first = _clone(bare, root / "first")
    (first / "locks").mkdir()
    (first / "locks/.keep").write_text("")
    _commit(first, "begin")
    _git("push", "--quiet", "origin", f"HEAD:{BRANCH}", cwd=first)
    clones = [_clone(bare, root / f"worker{number}") for number in range(workers)]
    tally, lock, left = Tally(), threading.Lock(), list(range(claims))
    barrier = threading.Barrier(workers + 1)

    def work(clone: Path, name: str) -> None:
        barrier.wait()
        while True:
            with lock:
                if not left:
                    return
                task = left.pop(0)
            began = time.perf_counter()
            rejected, won = _claim(clone, f"task{task}", name)
            with lock:
                tally.rejected += rejected
                if won:
                    tally.took_s.append(time.perf_counter() - began)
                else:
                    tally.lost += 1

    threads = [
        threading.Thread(target=work, args=(clone, f"worker{number}")) for number, clone in enumerate(clones)
    ]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return tally, time.perf_counter() - began


def _claim(clone: Path, task: str, name: str) -> tuple[int, bool]:
    """How often the push was rejected, and whether the claim was won."""
    for rejected in range(PUSHES_MAX):
        _git("pull", "--quiet", "--rebase", "origin", BRANCH, cwd=clone)
        lock = clone / "locks" / f"{task}.lock"
        if lock.exists():
            return rejected, False
        lock.write_text(f"{name} {time.time()}\n")
        _commit(clone, f"{name} claims {task}")
        if _git("push", "--quiet", "origin", f"HEAD:{BRANCH}", cwd=clone, may_fail=True):
            return rejected, True
        _git("reset", "--quiet", "--hard", "HEAD~1", cwd=clone)
    return PUSHES_MAX, False


def _clone(bare: Path, where: Path) -> Path:
    _git("clone", "--quiet", str(bare), str(where), cwd=bare.parent)
    for key, value in {
        "user.name": where.name,
        "user.email": f"{where.name}@localhost",
        "commit.gpgsign": "false",
    }.items():
        _git("config", key, value, cwd=where)
    return where


def _commit(clone: Path, message: str) -> None:
    _git("add", "--all", cwd=clone)
    _git("commit", "--quiet", "--allow-empty", f"--message={message}", cwd=clone)


def _git(*words: str, cwd: Path, may_fail: bool = False) -> bool:
    done = subprocess.run(["git", *words], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode and not may_fail:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.returncode == 0
