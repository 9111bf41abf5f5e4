"""Owns the rival of the oracle: the barest loop over the same cases on the host, one loop for each core.

Rule: it keeps what the commands print and does nothing else: no check, no time limit, no clean-up, no
isolation.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.finished_engine import BUILD, CANDIDATE, REFERENCE, lay_out
from harness.failure import Exit, VerbFailed

# The distribution's own programs, which are those of the boxes too; in another PATH `python3` may be a script
# that looks for one.
ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
SHELL = "for file in {share}/*; do {candidate} <$file; {reference} <$file; done >{kept} 2>&1"
PYTHON = """
import os, sys
share, kept, *commands = sys.argv[1:]
out = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for name in sorted(os.listdir(share)):
    for command in commands:
        argv = command.split()
        files = [(os.POSIX_SPAWN_OPEN, 0, share + "/" + name, os.O_RDONLY, 0)]
        files += [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=files)
        os.waitpid(pid, 0)
"""
TRIAL = 100  # cases of each share that decide which loop is the faster one


@dataclass(frozen=True)
class BareLoop:
    """The cases laid out in one directory for each loop; the tree is built already."""

    root: Path
    shares: Sequence[str]
    way: str

    def run(self) -> float:
        """Seconds until the last loop has ended."""
        began = time.monotonic()
        loops = [
            subprocess.Popen(self._argv(share), cwd=self.root, env=ENV, stdin=subprocess.DEVNULL)
            for share in self.shares
        ]
        try:
            failed = [loop.returncode for loop in loops if loop.wait()]
        finally:
            for loop in loops:  # on Ctrl-C they go on
                loop.kill()
                loop.wait()
        if failed:
            raise VerbFailed(f"the bare loop ended with status {failed[0]}", Exit.INFRASTRUCTURE)
        return time.monotonic() - began

    def _argv(self, share: str) -> list[str]:
        kept = f"{share}.out"
        if self.way == "sh":
            return [
                "/bin/sh",
                "-c",
                SHELL.format(share=share, kept=kept, candidate=CANDIDATE, reference=REFERENCE),
            ]
        return [
            "/usr/bin/python3",
            "-I",
            "-S",
            "-c",
            PYTHON,
            share,
            kept,
            *map(_found, (CANDIDATE, REFERENCE)),
        ]


@contextmanager
def bare_loop(cases: Mapping[str, str]) -> Iterator[BareLoop]:
    """The faster of a shell's loop and a Python loop around posix_spawn."""
    for program in (CANDIDATE, REFERENCE):
        if shutil.which(program.split()[0], path=ENV["PATH"]) is None:
            raise VerbFailed(
                f"the bare loop needs {program.split()[0]} in {ENV['PATH']}", Exit.INFRASTRUCTURE
            )
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as directory:
        root, cores = Path(directory), len(os.sched_getaffinity(0))
        lay_out(root)
        subprocess.run(shlex.split(BUILD), cwd=root, env=ENV, check=True)
        trials = [
            _share(root, f"trial-{core}", list(cases.items())[core::cores][:TRIAL]) for core in range(cores)
        ]
        shares = [_share(root, f"share-{core}", list(cases.items())[core::cores]) for core in range(cores)]
        took_s = {way: min(BareLoop(root, trials, way).run() for _ in range(2)) for way in ("sh", "python")}
        yield BareLoop(root, shares, min(took_s, key=took_s.__getitem__))


def _share(root: Path, name: str, cases: Sequence[tuple[str, str]]) -> str:
    (root / name).mkdir()
    for case, script in cases:
        (root / name / case).write_text(script)
    return name


def _found(command: str) -> str:
    program, _, rest = command.partition(" ")
    return f"{shutil.which(program, path=ENV['PATH'])} {rest}"


def about() -> str:
    """Return the programs that it runs; where those of the boxes differ, the ratio tells of that too."""

    def output(*argv: str) -> str:
        return subprocess.run(argv, env=ENV, capture_output=True, text=True, check=True).stdout

    return f"{output('python3', '-V').strip()}, SQLite {output('sqlite3', '-version').split()[0]}"
