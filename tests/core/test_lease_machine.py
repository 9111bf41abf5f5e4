"""Any order of claims, calls, expiries, releases, pushes and deaths, on the real store and real git, against
a small model.

Only the clock is ours. What must hold at every instant: no path has two live leases, fences only grow, an
ended lease stays ended, and nothing lands but under a lease that was live when the landing was decided.
"""

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.core import lease as core
from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.paths import overlap_any
from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.edge import app
from mcp_server.gate import Gate
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases.oracle import baseline, jobs
from mcp_server.use_cases.people import sessions
from mcp_server.wire.jobs import JobResult
from mcp_server.wire.sessions import SessionEndRequest
from tests.server import toy
from tests.server.histories import Deeds
from tests.server.lease_faults import FAULTS

AGENTS, TASKS, LEASE_MS, COMMITS = ("one", "two", "three"), ("T01", "T02", "T03", "T04"), 60_000, 3
PATHS = {"T01": "shout/**", "T02": "count/**", "T03": "shout/**", "T04": "shout/**"}


@dataclass
class Held:
    """The model of a lease. `over` is why it ended."""

    task: str
    agent: str
    session: str
    expires: int
    pinned: bool = False
    over: str = ""


class World:
    """A fresh server state over one project that all examples share, without a server."""

    project: Path
    commits: dict[str, list[str]]

    @classmethod
    def prepare(cls, root: Path) -> None:
        """Commits that each add a file to one module, below refs that a server fetches."""
        cls.project = toy.project(root)
        cls.commits = {
            module: [cls._commit(module, number) for number in range(COMMITS)]
            for module in ("shout", "count")
        }
        toy.git("checkout", "-q", "main", cwd=root)

    @classmethod
    def _commit(cls, module: str, number: int) -> str:
        toy.git("checkout", "-q", "-b", f"{module}-{number}", "main", cwd=cls.project)
        (cls.project / module / f"file{number}").write_text(f"{module} {number}\n")
        toy.git("add", "-A", cwd=cls.project)
        toy.git("commit", "-qm", "work", cwd=cls.project)
        return toy.git("rev-parse", "HEAD", cwd=cls.project)

    def __init__(self):
        self.now_ms = 1_700_000_000_000
        self.state = Path(tempfile.mkdtemp())
        loaded = config.load(self.project / "harness.toml")
        assert not isinstance(loaded, list)
        self.world = app.open_world(
            loaded, app.StateDir(self.state), asyncio.run(self._bell()), lambda: self.now_ms
        )
        self.gate = Gate(self.world)
        bare = self.state / "repos" / "toy.git"
        refs = [
            f"+refs/heads/{module}-{n}:refs/agents/{agent}/{module}-{n}"
            for agent in AGENTS
            for module in self.commits
            for n in range(COMMITS)
        ]
        toy.git("fetch", "-q", str(self.project), *refs, cwd=bare)

    @staticmethod
    async def _bell() -> Bell:
        return Bell()  # its loop ends here: it rings for nobody

    def close(self) -> None:
        self.world.store.close()
        shutil.rmtree(self.state)


class Leases(RuleBasedStateMachine):
    deeds = Deeds()  # a fault is one of them replaced

    @initialize()
    def start(self):
        self.own, self.model, self.last_fence, self.landed = World(), {}, 0, set()
        self.world = self.own.world
        self.session = {agent: self._begin(agent) for agent in AGENTS}
        baseline.measure_main(self.world)
        self._finish("fail")  # so that a candidate that fails everything is refused for its task alone
        baseline.measure_main(self.world)

    def teardown(self):
        if hasattr(self, "own"):
            self.own.close()

    def _begin(self, agent: str) -> str:
        return sessions.begin(self.world, agent, "command", door=False)[0].id

    def who(self, agent: str) -> Principal:
        return Principal(agent, AGENT, self.session[agent])

    # -- the model

    def expire(self) -> None:
        for held in self.model.values():
            if not held.over and not held.pinned and self.own.now_ms >= held.expires:
                held.over = "expired"

    def live(self) -> dict[int, Held]:
        self.expire()
        return {fence: held for fence, held in self.model.items() if not held.over}

    def free(self) -> set[str]:
        """What can be claimed: not done, not blocked, nothing missing that it needs, and no live lease over
        its path.
        """
        done = {held.task for held in self.model.values() if held.over == "landed"}
        blocked = {held.task for held in self.model.values() if held.over == "blocked"}
        covered = {PATHS[held.task] for held in self.live().values()}
        return {
            task
            for task in TASKS
            if task not in done | blocked and PATHS[task] not in covered and (task != "T03" or "T01" in done)
        }

    def renew(self, agent: str) -> None:
        for held in self.live().values():
            if held.agent == agent and not held.pinned:
                held.expires = max(held.expires, self.own.now_ms + LEASE_MS)

    # -- what may happen

    @rule(agent=st.sampled_from(AGENTS), task=st.none() | st.sampled_from(TASKS))
    def claim(self, agent: str, task: str | None):
        live = self.live()
        mine = next((fence for fence, held in live.items() if held.agent == agent), None)
        free = self.free()
        answer = self.deeds.claim(self.world, self.who(agent), task)
        if isinstance(answer, Refused):
            assert answer.code in (Code.HELD, Code.OVERLAP, Code.NO_TASK), answer
            assert mine is not None or not self.free() & ({task} if task else set(TASKS)), (
                f"{answer} though {self.free()} are free"
            )
            return
        assert mine is not None or answer["task"]["id"] in free
        if mine is not None:
            assert answer["fence"] == mine
            live[mine].session = self.session[agent]
            return
        assert answer["fence"] > self.last_fence, "a fence came twice or went back"
        self.last_fence = answer["fence"]
        self.model[answer["fence"]] = Held(
            answer["task"]["id"], agent, self.session[agent], self.own.now_ms + LEASE_MS
        )

    @rule(agent=st.sampled_from(AGENTS))
    def call(self, agent: str):
        self.deeds.called(self.world, self.who(agent), "list_tasks", status="ok", code=None, args={}, ms=1)
        self.renew(agent)

    @rule(seconds=st.sampled_from([1, 20, 59, 60, 61, 200]))
    def time_goes_by(self, seconds: int):
        self.own.now_ms += seconds * 1000

    @precondition(lambda self: any(not held.pinned for held in self.live().values()))
    @rule(agent=st.sampled_from(AGENTS))
    def claim_at_the_moment_of_an_expiry(self, agent: str):
        held = next(held for held in self.live().values() if not held.pinned)
        self.own.now_ms = held.expires
        self.claim(agent, held.task)

    @precondition(lambda self: any(not held.pinned for held in self.live().values()))
    @rule()
    def call_at_the_moment_of_an_expiry(self):
        held = next(held for held in self.live().values() if not held.pinned)
        self.own.now_ms = held.expires
        self.call(held.agent)

    @rule()
    def tick(self):
        self.deeds.expire(self.world)

    @precondition(lambda self: self.model)
    @rule(
        agent=st.sampled_from(AGENTS),
        data=st.data(),
        outcome=st.sampled_from(["done", "abandoned", "blocked"]),
    )
    def release(self, agent: str, data: st.DataObject, outcome: str):
        fence = data.draw(st.sampled_from(sorted(self.model)))
        held = self.model[fence]
        may = fence in self.live() and held.agent == agent and not held.pinned and outcome != "done"
        answer = self.deeds.release(self.world, self.who(agent), fence, outcome, "because")
        if may:
            assert answer == {"status": "released", "task": held.task, "outcome": outcome}
            held.over = outcome
        elif held.agent == agent and held.over:
            assert answer["status"] == "released" and held.over in answer["note"]
        else:
            assert isinstance(answer, Refused)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), number=st.integers(0, COMMITS - 1))
    def push(self, data: st.DataObject, number: int):
        fence, held = data.draw(st.sampled_from(sorted(self.live().items(), key=lambda pair: pair[0])))
        self._push(held.agent, fence, number)

    @precondition(lambda self: self.model)
    @rule(agent=st.sampled_from(AGENTS), data=st.data(), number=st.integers(0, COMMITS - 1))
    def push_with_any_fence(self, agent: str, data: st.DataObject, number: int):
        self._push(agent, data.draw(st.sampled_from(sorted(self.model))), number)

    @precondition(lambda self: any(not held.pinned for held in self.live().values()))
    @rule(agent=st.sampled_from(AGENTS), number=st.integers(0, COMMITS - 1))
    def push_by_a_holder_who_wakes_after_its_lease_was_taken(self, agent: str, number: int):
        fence, held = next((fence, held) for fence, held in self.live().items() if not held.pinned)
        self.own.now_ms = held.expires
        self.claim(agent, held.task)
        self._push(held.agent, fence, number)

    def _push(self, agent: str, fence: int, number: int) -> None:
        held = self.model[fence]
        commit = self.own.commits[PATHS[held.task].partition("/")[0]][number]
        may = fence in self.live() and held.agent == agent
        with self.world.store.read() as tx:
            before = submission_rows.find(tx, fence, commit)
        answer = self.deeds.submit(self.world, self.who(agent), fence, commit, "Work")
        if before is not None and held.agent == agent:
            assert not isinstance(answer, Refused) and answer.id == before.id
        elif not may:
            assert isinstance(answer, Refused)
            assert answer.code is (Code.STALE_FENCE if held.agent == agent else Code.NOT_LEASED)
        elif held.pinned:
            assert isinstance(answer, Refused) and answer.code is Code.HELD
        else:
            assert not isinstance(answer, Refused) and answer.state is State.QUEUED
            held.pinned = True

    @precondition(lambda self: self._in_gate())
    @rule(outcome=st.sampled_from(["pass", "pass", "fail"]), steps=st.integers(1, 4))
    def the_gate_works(self, outcome: str, steps: int):
        """Build, judge, settle: a landing takes three steps and a runner; fewer leave it where others can get
        at it.
        """
        for _ in range(steps):
            self.own.gate.advance()
            self._follow_submissions()
            self._finish(outcome)

    def _in_gate(self) -> bool:
        with self.world.store.read() as tx:
            return bool(submission_rows.pending(tx))

    def _finish(self, outcome: str) -> None:
        """A runner does whatever is queued."""
        while job := jobs.claim(self.world, "runner"):
            told = {case.id: outcome for case in job.cases}
            status = {"pass": "passed", "fail": "failed"}[outcome]
            assert jobs.finish(
                self.world,
                job.job,
                JobResult.of_json({"runner": "runner", "verdict": {"status": status, "outcomes": told}}),
            )

    @precondition(lambda self: any(held.pinned for held in self.live().values()))
    @rule()
    def die_with_work_in_the_gate(self):
        self.die(next(held.agent for held in self.live().values() if held.pinned))

    @rule(agent=st.sampled_from(AGENTS))
    def die(self, agent: str):
        gone = self.session[agent]
        for held in self.live().values():
            if held.session == gone and not held.pinned:
                held.over = "session_ended"
        sessions.end(self.world, gone, SessionEndRequest(outcome="crashed", exit=137))
        self.session[agent] = self._begin(agent)

    def _follow_submissions(self) -> None:
        """What the gate decided, told to the model; a landing under a lease that the model knows as over is
        the fault looked for.
        """
        with self.world.store.read() as tx:
            pending = {one.fence for one in submission_rows.pending(tx)}
            landed = {one.id: one for one in submission_rows.landed(tx)}
        for id in set(landed) - self.landed:
            held = self.model[landed[id].fence]
            assert not held.over, f"fence {landed[id].fence} landed after its lease was {held.over}"
            held.over, held.pinned = "landed", False
        self.landed = set(landed)
        for fence, held in self.model.items():
            if held.pinned and fence not in pending:
                held.pinned = False
                held.expires = max(held.expires, self.own.now_ms + LEASE_MS)
                if held.session != self.session[held.agent]:
                    held.over = "session_ended"

    # -- what must hold

    @invariant()
    def the_store_agrees_with_the_model(self):
        if not hasattr(self, "model"):
            return
        live = self.live()
        # Only looks: what ends overdue leases is among the things under test.
        with self.world.store.read() as tx:
            unended = lease_rows.open_ones(tx)
            tasks = task_rows.all(tx)
            ended = {
                fence: lease_rows.get(tx, fence)
                for fence in self.model
                if fence not in {lease.fence for lease in unended}
            }
        stored = {lease.fence: lease for lease in unended if core.is_live(lease, self.own.now_ms)}
        assert {
            fence: (one.task, one.agent, one.session, one.expires_ms, one.pinned)
            for fence, one in stored.items()
        } == {
            fence: (held.task, held.agent, held.session, held.expires, held.pinned)
            for fence, held in live.items()
        }
        assert not set(ended) & set(live)
        assert all(
            lease is not None and lease.end_reason == self.model[fence].over for fence, lease in ended.items()
        )
        assert {id for id, task in tasks.items() if str(task.state) == "leased"} == {
            lease.task for lease in unended
        }

    @invariant()
    def no_path_has_two_live_leases_and_no_agent_two(self):
        if not hasattr(self, "model"):
            return
        live = list(self.live().values())
        for number, one in enumerate(live):
            for other in live[number + 1 :]:
                assert one.agent != other.agent and not overlap_any([PATHS[one.task]], [PATHS[other.task]])


EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "10"))  # HARNESS_EXAMPLES=1000 for a night
FAULT_EXAMPLES_MAX = 40  # in which a fault must have shown


@pytest.mark.timeout(600 + EXAMPLES * 10)
def test_leases_keep_their_promises_in_any_order(tmp_path: Path):
    World.prepare(tmp_path)
    run_state_machine_as_test(
        Leases,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=35,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(tmp_path: Path, fault: str):
    World.prepare(tmp_path)
    broken = type("Broken", (Leases,), {"deeds": FAULTS[fault]})
    quick = settings(
        max_examples=FAULT_EXAMPLES_MAX,
        stateful_step_count=35,
        deadline=None,
        database=None,
        derandomize=True,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            broken, settings=settings(quick, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        )
