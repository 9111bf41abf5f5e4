"""The whole way of one verdict without a server or a box: an agent asks for a run of its commit and pushes it, a
runner says so, and the real gate decides over a real repository.
"""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_server.core.principal import AGENT, Principal
from mcp_server.gate import Gate
from mcp_server.use_cases.landing import submit
from mcp_server.use_cases.oracle import asking, baseline
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import sessions
from mcp_server.wire.jobs import JobResult

from . import toy
from .histories import claimed
from .test_crash import Desk

TOML = """
[run]
name = "gated"
[repos.toy]
path = "."
[modules.app]
paths = ["app/**"]
"""
SUITE = """
[oracle.unit]
kind = "command"
command = "sh tests.sh"
results = "tap"
"""
TASKS = 10
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Decided:
    """What run_oracle and the gate said of one verdict; `code` is of a refusal."""

    status: str
    state: str
    code: str
    happened: str
    answer: Json


@dataclass
class Gated:
    desk: Desk
    clone: Path
    gate: Gate
    on_main: Json
    numbers: Iterator[int] = field(default_factory=itertools.count)
    fence: int | None = None

    def __post_init__(self) -> None:
        session = sessions.begin(self.desk.world, "one", "command", door=False)[0].id
        self._who = Principal("one", AGENT, session)

    def say(self, verdict: Json) -> int:
        """Give every job that there is this verdict, and a run of main its own; how many there were."""
        for done in itertools.count():
            job = oracle_jobs.claim(self.desk.world, "runner")
            if job is None:
                return done
            of_main = job.commit == self.desk.main()
            said = dict(self.on_main if of_main else verdict)
            result = JobResult.of_json({"runner": "runner", "verdict": said})
            assert oracle_jobs.finish(self.desk.world, job.job, result)
        raise AssertionError

    def commit(self) -> str:
        """A commit that changes one file of the module, uploaded."""
        toy.git("checkout", "-q", "-B", "work", "origin/main", cwd=self.clone)
        (self.clone / "app/number").write_text(f"{next(self.numbers)}\n")
        toy.git("add", "-A", cwd=self.clone)
        toy.git("commit", "-qm", "x", cwd=self.clone)
        toy.git("push", "-qf", str(self.desk.bare), "HEAD:refs/agents/one/work", cwd=self.clone)
        return toy.git("rev-parse", "HEAD", cwd=self.clone)

    def decide(self, verdict: Json) -> Decided:
        """Ask for a run of a new commit and push it, while every run of it ends with this verdict."""
        world = self.desk.world
        if self.fence is None:
            self.fence = claimed(world, self._who)["fence"]
        commit = self.commit()
        started = asking.start(world, self._who, asking.OracleRequest(self.fence, commit, "full", ()))
        assert isinstance(started, asking.Started)
        self.say(verdict)
        answer = asking.answer(world, started)
        id = submit.submit(world, self._who, self.fence, commit, "x").id
        while self.gate.advance() or self.say(verdict):
            pass
        submission = self.desk.submission(id)
        refusal = submission.refusal or {}
        if submission.state == "landed":
            self.fence, self.on_main = None, verdict
            toy.git("fetch", "-q", "origin", cwd=self.clone)
        return Decided(
            answer["status"],
            str(submission.state),
            refusal.get("code", ""),
            refusal.get("happened", ""),
            answer,
        )


@contextmanager
def gated(
    root: Path, on_main: Json, suite: str = SUITE, files: Mapping[str, str] | None = None
) -> Iterator[Gated]:
    """A gate over a project with one suite, whose run on main ended with the verdict `on_main`."""
    tasks = {f"tasks/{n}.md": toy.task(f"T{n}", "app").replace('suite = "words"\n', "") for n in range(TASKS)}
    tree = {"harness.toml": TOML + suite, "app/README": "app\n", **tasks, **(files or {})}
    toy.repository(root / "project", tree)
    desk, clone = Desk.open(root), root / "clone"
    user = ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
    toy.git("clone", "-q", *user, str(desk.bare), str(clone), cwd=root)
    made = Gated(desk, clone, Gate(desk.world), on_main)
    baseline.measure_main(desk.world)
    assert made.say(on_main) == 1
    baseline.measure_main(desk.world)
    try:
        yield made
    finally:
        desk.world.store.close()
