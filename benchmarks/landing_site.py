"""Owns a place to land on: a server, simulated runners, and main measured by them. Rule: gone when left."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import landing_project
from benchmarks.landing_git import Bare
from benchmarks.landing_runners import Runners, runners
from benchmarks.landing_tally import Tally
from benchmarks.project import REPO, Served
from harness.failure import Exit, VerbFailed

MEASURED_S = 300.0  # how long main's own outcomes may take at the start
LOOK_S = 0.25


@dataclass(frozen=True)
class Site:
    """What the agents share: `clones` holds the objects of all their clones."""

    served: Served
    clones: Bare
    tally: Tally
    runners: Runners
    first: str  # main before anything landed

    @property
    def git_url(self) -> str:
        return f"{self.served.server.url}/git/{REPO}.git"

    @property
    def landed(self) -> Bare:
        """The server's own repository: to look at, and nothing else."""
        return Bare(self.served.state.root / "repos" / f"{REPO}.git")


@contextmanager
def opened(modules: int, *, closures: bool, slots: int) -> Iterator[Site]:
    """The runners answer at once, until they are told otherwise."""
    with ExitStack() as stack:
        served = stack.enter_context(landing_project.served(modules, closures=closures))
        clones = Bare.create(
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-bench-"))) / "clones.git"
        )
        tally = Tally()
        oracle = stack.enter_context(runners(served.server.url, served.runner_token, slots, tally))
        deadline = time.monotonic() + MEASURED_S
        while not all(suite.cases for suite in served.admin.status().suites.values()):
            if time.monotonic() > deadline:
                raise VerbFailed("the server did not measure main", Exit.INFRASTRUCTURE)
            time.sleep(LOOK_S)
        tally.runs.clear()
        yield Site(served, clones, tally, oracle, served.admin.status().main[REPO])
