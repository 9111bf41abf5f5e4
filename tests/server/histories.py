"""Records what happens when agents, the supervisor, the gate and the clock work on one real store at once:
histories for linear.check.

Only the clock is ours. What is called can be replaced (`Deeds`), so that a test shows that a fault would be
seen.
"""

import asyncio
import itertools
import queue
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.refusal import Refused
from mcp_server.edge import app
from mcp_server.gate import Gate
from mcp_server.repos.repository import Repository
from mcp_server.store import Tx, meta
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import submit
from mcp_server.use_cases.oracle import baseline, jobs
from mcp_server.use_cases.people import sessions
from mcp_server.use_cases.tasks import claim, release
from mcp_server.wire.jobs import JobResult
from mcp_server.wire.sessions import SessionEndRequest
from mcp_server.world import World

from . import lease_model, toy
from .lease_model import LEASE_MS, TASKS
from .linear import NEVER, Call, Verdict, check

AGENTS = ("one", "two", "three")
IN_GROUPS = "three"
COMMITS = 2  # of each agent in each module
NO_SUITE, WITH_SUITE = False, True
IN_MEMORY = Path(
    "/dev/shm"
)  # a history asks for order, not for durability: where there is a file system in memory it is used
TOLD_TO_DIE = 0.1  # the share of calls whose client dies before it reads the answer
JUMPS_MS = (1_000, 20_000, LEASE_MS - 1, LEASE_MS, LEASE_MS + 1, -30_000, -LEASE_MS)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """One that runs for as long as the process does: whose writes are committed in groups, beside those of
    threads.
    """
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, daemon=True).start()
    return made


def written(world: World, who: Principal, act: Callable[[World, Tx], Any]) -> Any:
    """One agent's calls come as those of tools do, on a loop, and are committed in groups; the others' come
    in threads of their own.
    """
    if who.name == IN_GROUPS:
        return asyncio.run_coroutine_threadsafe(
            world.group.write(lambda tx: act(world.at_one_moment(), tx)), loop()
        ).result()
    with world.store.write() as tx:
        return act(world.at_one_moment(), tx)


def claimed(world: World, who: Principal, task: str | None = None) -> dict | Refused:
    decided = written(world, who, lambda world, tx: claim.claim(world, tx, who, task))
    return decided if isinstance(decided, Refused) else claim.answer(world, decided)


def released(
    world: World, who: Principal, fence: int, outcome: release.Outcome, note: str = ""
) -> dict | Refused:
    decided = written(world, who, lambda world, tx: release.release(world, tx, who, fence, outcome, note))
    return decided if isinstance(decided, Refused) else release.answer(world, decided)


def called(world: World, who: Principal, tool: str, **more: Any) -> None:
    written(world, who, lambda world, tx: sessions.called(world, tx, who, tool, **more))


@dataclass(frozen=True)
class Deeds:
    """What agents and supervisor do. A fault is one of them replaced; `clock` is what the use cases are told
    of the time.
    """

    claim: Callable[..., Any] = claimed
    called: Callable[..., Any] = called
    release: Callable[..., Any] = released
    submit: Callable[..., Any] = submit.submit
    expire: Callable[..., Any] = leasing.expire
    clock: Callable[[Callable[[], int]], Callable[[], int]] = lambda now_ms: now_ms


class Remembered(Repository):
    """A repository whose facts about commits are asked for once: they do not change in these histories, and
    git is slow to start.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        commits = self.commits
        commits.resolve = cache(commits.resolve)  # type: ignore[method-assign]
        commits.agent_has = cache(commits.agent_has)  # type: ignore[method-assign]


@dataclass
class Clock:
    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Ground:
    """One store and one repository that all histories of a test share; each begins with no lease and no
    submission.
    """

    world: World
    clock: Clock
    commits: dict[tuple[str, str], list[str]]
    with_suite: bool

    def begin(self) -> lease_model.State:
        """Forgets the history before. Events, sessions and the counter of fences go on."""
        with self.world.store.write() as tx:
            for statement in (
                "DELETE FROM leases",
                "DELETE FROM submissions",
                "UPDATE tasks SET state = 'open', reason = '', salvage = NULL",
            ):
                tx.exec_driver_sql(statement)
            begun = tx.exec_driver_sql("SELECT count(*) FROM sessions").scalar() or 0
            return lease_model.State(self.clock.now_ms, int(meta.get(tx, lease_rows.FENCE) or 0), begun)

    def verify(self) -> list[str]:
        return self.world.audit.verify()["problems"]


def project(root: Path, *, with_suite: bool) -> Path:
    """Without a suite for the repository that is worked on, the gate refuses each submission at once: its pin
    ends, and nothing is merged.
    """
    modules = sorted({module for module, _ in TASKS.values()})
    head, _, tail = toy.TOML.partition("[modules.shout]")
    tail = "[oracle.words]" + tail.partition("[oracle.words]")[2]
    if not with_suite:
        head += '[repos.tested]\npath = "."\nbranch = "main"\n\n'
        tail = tail.replace('repo = "toy"', 'repo = "tested"')
    head += "".join(f'[modules.{name}]\nrepo = "toy"\npaths = ["{name}/**"]\n\n' for name in modules)
    files = {"harness.toml": head + tail, "main.sh": "tr x x\n", "oracle/cases/up/one.txt": "ABC\n"} | {
        f"{name}/README": name for name in modules
    }
    for id, (module, priority) in TASKS.items():
        text = toy.task(id, module, priority=priority)
        files[f"tasks/{id}.md"] = (
            text if with_suite else text.replace('suite = "words"\n', "").replace("cases = []\n", "")
        )
    return toy.repository(root, files)


async def _bell() -> Bell:
    return Bell()


def silent_bell() -> Bell:
    """A bell whose loop has ended: it rings for nobody."""
    return asyncio.run(_bell())


@contextmanager
def ground(where: Path, *, with_suite: bool = NO_SUITE, deeds: Deeds | None = None) -> Iterator[Ground]:
    source = project(where / "project", with_suite=with_suite)
    memory = Path(
        tempfile.mkdtemp(prefix="harness-histories-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
    )
    loaded, clock = config.load(source / "harness.toml"), Clock()
    assert not isinstance(loaded, list), [str(problem) for problem in loaded]
    now_ms = (deeds or Deeds()).clock(clock)
    world = app.open_world(loaded, app.StateDir(memory), silent_bell(), now_ms)
    try:
        bare = world.repos["toy"].path
        made = Ground(
            replace(world, repos=world.repos | {"toy": Remembered(bare)}),
            clock,
            commits(source, bare),
            with_suite,
        )
        if with_suite:
            _measure(made.world)
        yield made
    finally:
        world.store.close()
        shutil.rmtree(memory)


def commits(source: Path, bare: Path) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for agent, module, number in itertools.product(
        AGENTS, sorted({module for module, _ in TASKS.values()}), range(COMMITS)
    ):
        toy.git("checkout", "-q", "-B", "work", "main", cwd=source)
        (source / module / agent).write_text(f"{number}\n")
        toy.git("add", "-A", cwd=source)
        toy.git("commit", "-qm", "work", cwd=source)
        toy.git("push", "-q", str(bare), f"HEAD:refs/agents/{agent}/{module}{number}", cwd=source)
        found.setdefault((agent, module), []).append(toy.git("rev-parse", "HEAD", cwd=source))
    toy.git("checkout", "-q", "main", cwd=source)
    return found


def _measure(world: World) -> None:
    baseline.measure_main(world)
    finish_jobs(world)
    baseline.measure_main(world)


def finish_jobs(world: World) -> None:
    """A runner does whatever is queued."""
    while job := jobs.claim(world, "runner"):
        told = {"status": "passed", "outcomes": {case.id: "pass" for case in job.cases}}
        assert jobs.finish(world, job.job, JobResult.of_json({"runner": "runner", "verdict": told}))


class History:
    """One history: threads that each do a few things, chosen by chance from the seed, all at once."""

    def __init__(self, ground: Ground, seed: int, deeds: Deeds):
        self._ground, self._deeds, self._seed = ground, deeds, seed
        self.calls: list[Call] = []
        self._ticks = itertools.count(1)
        self.start = ground.begin()
        self._fences: list[int] = []
        self._session: dict[str, str] = {}
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def record(self, *, agent_steps: int, other_steps: int) -> None:
        for agent in AGENTS:
            self._begin(agent)
        barrier = threading.Barrier(len(AGENTS) + 2)
        threads = [
            threading.Thread(target=self._work, args=(barrier, agent, agent_steps, self._an_agents_deed))
            for agent in AGENTS
        ]
        threads.append(
            threading.Thread(target=self._work, args=(barrier, "time", other_steps, self._a_deed_of_time))
        )
        threads.append(
            threading.Thread(target=self._gate, args=(barrier, other_steps, len(AGENTS) * agent_steps))
        )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._do("look", (), lambda: look(self._ground.world))

    def check(self) -> Verdict:
        return check(self.calls, self.start, lease_model.step)

    # -- doing and writing down

    def _work(
        self, barrier: threading.Barrier, name: str, steps: int, deed: Callable[[random.Random, str], None]
    ) -> None:
        chance = random.Random(f"{self._seed} {name}")
        barrier.wait()
        for _ in range(steps):
            deed(chance, name)
            if name in AGENTS:
                self._done.put(name)

    def _gate(self, barrier: threading.Barrier, steps: int, deeds: int) -> None:
        """Looks after every deed of an agent, while the others go on: what is pushed is judged in the middle
        of the history.
        """
        barrier.wait()
        for number in range(deeds):
            self._done.get()
            self._a_deed_of_the_gate(or_else=number < steps)

    def _do(self, what: str, args: tuple, act: Callable[[], Any], *, reads_answer: bool = True) -> Any:
        began = next(self._ticks)
        try:
            answer = act()
        except Exception as wrong:  # noqa: BLE001 - whatever is raised is an answer that no model gives
            answer = f"raised {type(wrong).__name__}: {wrong}"
        self.calls.append(Call(what, args, answer, began, next(self._ticks) if reads_answer else NEVER))
        return answer

    def _an_agents_deed(self, chance: random.Random, agent: str) -> None:
        world, deeds = self._ground.world, self._deeds
        session = self._session[agent]
        who, reads = Principal(agent, AGENT, session), chance.random() >= TOLD_TO_DIE
        match chance.choice(("claim", "claim", "claim", "call", "call", "release", "push", "push")):
            case "claim":
                task = chance.choice((None, *TASKS))
                answer = self._do(
                    "claim",
                    (agent, session, task),
                    lambda: _claimed(deeds.claim(world, who, task)),
                    reads_answer=reads,
                )
                if answer[0] == "leased":
                    self._fences.append(answer[2])
            case "call":
                self._do(
                    "call",
                    (agent,),
                    lambda: deeds.called(world, who, "list_tasks", status="ok", code=None, args={}, ms=1),
                    reads_answer=reads,
                )
            case "release" if self._fences:
                fence, outcome = (
                    chance.choice(self._fences),
                    chance.choice(("abandoned", "abandoned", "blocked")),
                )
                self._do(
                    "release",
                    (agent, fence, outcome),
                    lambda: _released(deeds.release(world, who, fence, outcome, "because")),
                    reads_answer=reads,
                )
            case "push" if self._fences:
                fence, commit = (
                    chance.choice(self._fences),
                    chance.choice(self._ground.commits[agent, chance.choice("abc")]),
                )
                self._do(
                    "push",
                    (agent, fence, commit),
                    lambda: _sent(deeds.submit(world, who, fence, commit, "Work")),
                    reads_answer=reads,
                )

    def _a_deed_of_time(self, chance: random.Random, _name: str) -> None:
        match chance.choice(("clock", "clock", "expire", "death")):
            case "clock":
                ms = chance.choice(JUMPS_MS)
                self._do("clock", (ms,), lambda: self._tick(ms))
            case "expire":
                self._do("expire", (), lambda: self._deeds.expire(self._ground.world))
            case "death":
                agent = chance.choice(AGENTS)
                session = self._session[agent]
                self._do(
                    "end",
                    (session,),
                    lambda: (
                        sessions.end(
                            self._ground.world, session, SessionEndRequest(outcome="crashed", exit=137)
                        )
                        and None
                    ),
                )
                self._begin(agent)

    def _a_deed_of_the_gate(self, *, or_else: bool) -> None:
        world = self._ground.world
        with world.store.read() as tx:
            pending = submission_rows.pending(tx)
        if not pending:
            if or_else:
                self._do("expire", (), lambda: self._deeds.expire(world))
            return
        taken = pending[0]
        if self._ground.with_suite:
            finish_jobs(world)
        began, moved = next(self._ticks), Gate(world).step(taken)
        with world.store.read() as tx:
            after = submission_rows.get(tx, taken.id)
        assert after is not None
        if moved:
            reached = (
                str(after.state) if str(after.state) != "queued" or taken.tries < after.tries else "refused"
            )  # pushed again already
            self.calls.append(Call("gate", (taken.id, reached), reached, began, next(self._ticks)))

    def _tick(self, ms: int) -> None:
        self._ground.clock.now_ms += ms

    def _begin(self, agent: str) -> None:
        self._session[agent] = self._do(
            "begin", (agent,), lambda: sessions.begin(self._ground.world, agent, "command", door=False)[0].id
        )


def look(world: World) -> tuple:
    """What the table of leases says, for the model's `look`."""
    with world.store.read() as tx:
        rows = sorted(
            (lease for task in TASKS for lease in lease_rows.of_task(tx, task)), key=lambda lease: lease.fence
        )
    return tuple(
        (one.fence, one.task, one.agent, one.session, one.expires_ms, one.pinned, one.end_reason or "")
        for one in rows
    )


def _claimed(answer: dict | Refused) -> Any:
    return (
        str(answer.code)
        if isinstance(answer, Refused)
        else ("leased", answer["task"]["id"], answer["fence"], answer["lease_s"])
    )


def _released(answer: dict | Refused) -> Any:
    return (
        str(answer.code) if isinstance(answer, Refused) else ("released", answer["task"], answer["outcome"])
    )


def _sent(answer: Any) -> Any:
    return str(answer.code) if isinstance(answer, Refused) else ("sent", answer.id)


def run(
    ground: Ground, seed: int, deeds: Deeds | None = None, *, agent_steps: int = 4, other_steps: int = 3
) -> tuple[History, Verdict]:
    history = History(ground, seed, deeds or Deeds())
    history.record(agent_steps=agent_steps, other_steps=other_steps)
    return history, history.check()
