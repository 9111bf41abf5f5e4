"""The causes of what fails on main become tasks, and those whose cases all pass are closed: when an operator
says `harness tasks from-oracle`, and by itself for what turns red on main.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

from mcp_server.core import case_globs, landing
from mcp_server.core import oracle_tasks as core
from mcp_server.core import task as tasks
from mcp_server.core.oracle_tasks import Draft, Places, SuiteRun
from mcp_server.core.principal import ADMIN, Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task, TaskEvent, Tasks
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import tasks as rows
from mcp_server.use_cases import leasing
from mcp_server.use_cases.oracle import baseline, case_sets
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.tasks import planning
from mcp_server.world import World

SERVER = Principal("server", ADMIN)  # who opens tasks by itself


@dataclasses.dataclass(frozen=True)
class Wish:
    """What an operator asked for. `module` is for causes that point to none; `limit` is the number of tasks
    made at most, over all suites.
    """

    suites: tuple[str, ...]
    module: str | None = None
    limit: int | None = None
    dry_run: bool = False


def from_oracle(world: World, who: Principal, wish: Wish) -> dict[str, Any] | Refused:
    """Make and close tasks by the runs on main, and report which. Return {"running": {suite: job}} if one is
    not there yet: wait for it and ask again.
    """
    if wish.module is not None and wish.module not in world.config.modules:
        return Refused(
            Code.BAD_REQUEST,
            f"there is no module {wish.module!r}",
            "no task was made",
            f"name one of {', '.join(world.config.modules)}",
        )
    jobs = {name: _on_main(world, name) for name in wish.suites}
    if running := {name: job.id for name, job in jobs.items() if job.state != job_rows.DONE}:
        return {"running": running}
    for name, job in jobs.items():
        if oracle_jobs.is_broken(job):
            reason = job.verdict["reason"] if job.verdict else "no verdict"
            return Refused(
                Code.ORACLE_BROKEN,
                f"the oracle {name} broke on main: {reason}",
                "no task was made",
                "mend the oracle; harness oracle run shows it",
            )
    report: dict[str, Any] = {"made": [], "closed": [], "kept": [], "no_module": [], "left_out": 0}
    for name, job in jobs.items():
        _apply(world, who, wish, name, job, report)
    world.bell.ring()
    return report


def _on_main(world: World, suite: str) -> job_rows.Job:
    """Return the run of a suite on main. Its outcomes are written down as main's: who claims a task sees
    which of its cases fail.
    """
    main = world.main(world.config.suites[suite].repo)
    if baseline.outcomes_at(world, suite, main) is None:
        return baseline.measure(world, suite, main, again_before_ms=0)
    return oracle_jobs.request(world, oracle_jobs.JobRequest(suite, main, oracle_jobs.BASELINE), again=False)


def _apply(
    world: World, who: Principal, wish: Wish, suite: str, job: job_rows.Job, report: dict[str, Any]
) -> None:
    """Make and close the tasks of one suite, and add them to the report."""
    assert job.verdict is not None
    measured, places = _measured(world, suite, job.verdict), _places(world, suite, wish.module)
    room = None if wish.limit is None else max(0, wish.limit - len(report["made"]))
    with world.store.write() as tx:
        closed = core.over(rows.every(tx).undone, suite, measured.outcomes)
        if not wish.dry_run:
            for task in closed:
                _close(world, tx, task, job.commit, who.name)
        left_open = [task for task in rows.every(tx).undone if task not in closed]
        plan = core.plan(left_open, measured, places, room)
        made = plan.make if wish.dry_run else [_make(world, tx, who, draft) for draft in plan.make]
    report["closed"] += [{"task": task.id, "title": task.title} for task in closed]
    report["made"] += [_made(one) for one in made]
    report["no_module"] += [{"title": draft.title, "cases": len(draft.cases)} for draft in plan.homeless]
    report["kept"] += plan.kept
    report["left_out"] += plan.left_out


def _made(task: Task | Draft) -> dict[str, Any]:
    """Return a new task as it is reported; a draft is one that a dry run would have made."""
    return {
        "task": task.id if isinstance(task, Task) else None,
        "title": task.title,
        "module": task.module,
        "cases": len(task.cases),
    }


def _measured(world: World, suite: str, verdict: dict[str, Any]) -> SuiteRun:
    outcomes = verdict["outcomes"]
    exempt = landing.exempt(world.config.suites[suite].flaky, world.today())
    ignored = exempt | case_sets.hidden(world, suite, outcomes)
    return SuiteRun(suite, outcomes, verdict.get("causes", ()), verdict["failures"], ignored)


def _places(world: World, suite: str, otherwise: str | None) -> Places:
    repo = world.config.suites[suite].repo
    modules = {name: module.paths for name, module in world.config.modules.items() if module.repo == repo}
    files = {entry.path for entry in world.repos[repo].objects.ls_tree(world.main(repo))}
    return Places(modules, files, otherwise if otherwise in modules else None)


def _make(world: World, tx: Tx, who: Principal, draft: Draft) -> Task:
    assert draft.module is not None
    module = world.config.modules[draft.module]
    task = Task(
        id=planning.next_id(tx),
        title=draft.title,
        brief=draft.brief,
        module=draft.module,
        repo=module.repo,
        paths=tuple(module.paths),
        suite=draft.suite,
        cases=draft.cases,
        source=draft.source,
    )
    rows.add(tx, task)
    world.record(
        tx,
        "task_created",
        task=task.id,
        title=task.title,
        module=task.module,
        source=task.source,
        by=who.name,
    )
    return task


def open_for_red(world: World) -> None:
    """Open the tasks to mend what is red on main, for each cause one. What no module owns stays without."""
    for suite, red_suite in list(world.red.items()):
        job = oracle_jobs.get(world, red_suite.job)
        if job is None or job.verdict is None:
            continue
        measured = core.of_red(_measured(world, suite, job.verdict), red_suite.cases)
        with world.store.read() as tx:
            everything = rows.every(tx)
        places = _places(world, suite, _module_that_names(world, everything, suite, red_suite.cases))
        if not core.plan(everything.undone, measured, places, None).make:
            continue
        with world.store.write() as tx:
            for draft in core.plan(rows.every(tx).undone, measured, places, None).make:
                _make(world, tx, SERVER, draft)
        world.bell.ring()


def _module_that_names(world: World, every: Tasks, suite: str, cases: Collection[str]) -> str | None:
    """Return the module of the tasks that name one of these cases, or the only one that there is."""
    repo = world.config.suites[suite].repo
    modules = [name for name, module in world.config.modules.items() if module.repo == repo]
    naming = {
        task.module
        for task in every.values()
        if case_globs.chosen(case_globs.of_suite(task.cases, suite, task.suite), cases)
    }
    owners = sorted(naming.intersection(modules)) or modules
    return owners[0] if len(owners) == 1 else None


def close_passing(world: World) -> None:
    """Close the tasks that some other landing has done already, so that nobody claims them."""
    with world.store.read() as tx:
        waiting = rows.undone(tx) if rows.any_from(tx, f"{core.SOURCE}:") else []
    for suite in {
        task.source.split(":")[1] for task in waiting if task.source.startswith(f"{core.SOURCE}:")
    } & world.config.suites.keys():
        repo = world.config.suites[suite].repo
        if core.over(waiting, suite, baseline.of_main(world, suite)):
            main = world.main(repo)
            with world.store.write() as tx:
                outcomes = baseline.in_tx(world, tx, suite, main) or {}
                for task in core.over(rows.every(tx).undone, suite, outcomes):
                    _close(world, tx, task, main, None)
            world.bell.ring()


def _close(world: World, tx: Tx, task: Task, commit: str, by: str | None) -> None:
    state = tasks.next_state(task.state, TaskEvent.CLOSE)
    assert state is not None, "only an open or blocked task is closed"
    reason = f"every case of it passes on main, at {commit[:12]}"
    leasing.move(world, tx, dataclasses.replace(task, state=state, reason=reason), by)
