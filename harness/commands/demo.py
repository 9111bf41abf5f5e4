"""`harness demo`: six scripted agents build a small SQL engine in a throw-away directory, and every promise
is measured.

Rule: the same run as `up`; what is reported is counted from log, history and engine after the fact, never
remembered.
"""

import json as jsons
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.boxes import sandbox
from harness.boxes.containers import Box, BoxSpec, Engine
from harness.commands import audit
from harness.commands.options import place
from harness.failure import Exit, VerbFailed
from harness.run import lifecycle, oracle_jobs
from harness.run.lifecycle import Run, Why
from harness.run.place import CONFIG_NAME
from harness.run.plan import RunPlan, load_config
from harness.run.server_process import SOURCES
from harness.run.signals import StopSignal
from harness.run.state import DIRECTORY_NAME, StateDirectory, now_ms
from harness.show import demo_report, incidents, report
from harness.show.demo_report import DemoFigures
from harness.show.report import Figures, Judged
from harness.show.table import PlainLines
from mcp_server.wire.events import LoggedEvent

EXAMPLE = "examples/minisql"
STAGE_TOPICS = "demo/"
KILL_TOPIC = "demo/kill-me"
ACTORS = (
    "actors"  # what the scripted agents play: git ignores it, so no agent finds its solution in its clone
)
USER = ("-c", "user.name=Demo User", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the directory, to look into it.")] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="F", help="Write the report as JSON.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="D", help="The state directory; it is kept.")
    ] = None,
) -> None:
    """Watch six agents build a SQL engine against sqlite3, without a model and without a key."""
    if place(context).is_remote:
        raise VerbFailed("the demo brings its own server; leave --server away", Exit.USAGE)
    console = Console(highlight=False)
    with _directory(keep=keep) as directory:
        plan = prepare(directory, state)
        console.print(f"the project lies in {directory}", soft_wrap=True)
        why, measured = _play(plan, console)
    console.print(demo_report.table(measured.figures))
    console.print(demo_report.beside_lock_files(measured.figures), soft_wrap=True, markup=False)
    if report_file is not None:
        report_file.write_text(jsons.dumps(measured.to_json(), indent=2) + "\n")
    if why is Why.STOPPED:
        raise typer.Exit(Exit.INTERRUPTED)
    unmet = demo_report.unmet(measured)
    for sentence in unmet:
        console.print(f"NOT MET: {sentence}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.FAILED if unmet else Exit.DONE)


def prepare(scratch: Path, state: Path | None) -> RunPlan:
    """Copy the example as a user's repository. Return the plan for a run on it."""
    source = SOURCES / EXAMPLE / "project"
    if not source.is_dir():
        message = f"the example is not there: {source}; the demo runs from a source tree"
        raise VerbFailed(message, Exit.INFRASTRUCTURE)
    project = scratch / "minisql"
    shutil.copytree(source, project, ignore=shutil.ignore_patterns("__pycache__", DIRECTORY_NAME))
    for name in ("playbooks", "solutions"):
        shutil.copytree(source.parent / name, project / ACTORS / name)
    make_user_repository(project)
    config = project / CONFIG_NAME
    directory = StateDirectory((state or project / DIRECTORY_NAME).resolve())
    return RunPlan(config, load_config(config), directory, port=0)


def make_user_repository(project: Path) -> None:
    """Do what the demo's imagined user did before: the only place where the harness runs git, and it is the
    user's.
    """
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=A small SQL engine, begun"),
    ):
        argv = ["git", *USER, *words]
        git = subprocess.run(argv, cwd=project, capture_output=True, text=True, check=False)
        if git.returncode:
            message = f"git {words[0]} failed in {project}: {git.stderr.strip()}"
            raise VerbFailed(message, Exit.INFRASTRUCTURE)


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="harness-demo-"))
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


class CountingEngine(Engine):
    """An engine that knows how many boxes it started."""

    started = 0

    def start(self, spec: BoxSpec) -> Box:
        box = super().start(spec)
        self.started += 1
        return box


class Stage(PlainLines):
    """Plain lines without the notes by which the players wait for each other."""

    def event(self, event: LoggedEvent) -> None:
        if event.kind == "note_written" and str(event.data.get("topic", "")).startswith(STAGE_TOPICS):
            return
        super().event(event)


@dataclass
class Audience:
    """Sees every event: tells the incidents, and kills the agent that asks for it."""

    run: Run
    engine: Engine
    watch: incidents.IncidentWatch = field(default_factory=incidents.IncidentWatch)
    seen: list[incidents.IncidentKind] = field(default_factory=list)

    def __call__(self, event: LoggedEvent) -> None:
        for incident in self.watch.feed(event):
            self.seen.append(incident.kind)
            self.run.view.say(f"   >>> {incident.kind}: {incident.headline}")
        if event.kind == "note_written" and event.data.get("topic") == KILL_TOPIC:
            self._kill(str(event.data.get("text", "")))

    def _kill(self, text: str) -> None:
        named = [name for name, _ in self.run.plan.agents() if re.search(rf"\b{re.escape(name)}\b", text)]
        for name in named:
            labels = {sandbox.RUN: self.run.plan.state.label, sandbox.AGENT: name, sandbox.KIND: "agent"}
            for found in self.engine.list(labels, running_only=True):
                box = self.engine.find(found.id)
                if box is not None:
                    box.kill()
                    self.run.view.say(f"   >>> the container of {name} is killed ({found.name})")


def _play(plan: RunPlan, console: Console) -> tuple[Why, DemoFigures]:
    began, start_ms = time.monotonic(), now_ms()
    with StopSignal() as stop, CountingEngine.connect() as engine, Stage(console, start_ms) as view:
        with lifecycle.opened(plan, view, stop, engine) as run:
            audience = Audience(run, engine)
            why = run.watch(audience)
            run.stop_agents(audience)
            worked_s = time.monotonic() - began
            view.say(f"agents stopped after {worked_s:.1f} s: {why}")
            figures, judged = _measure(run, plan, stopped=why is Why.STOPPED)
        left = run.crew.left_over.boxes + len(engine.list({sandbox.RUN: plan.state.label}))
        started = engine.started
    figures = replace(
        figures, containers_left=left, containers_started=started, wall_s=round(time.monotonic() - began, 1)
    )
    return why, DemoFigures(figures, tuple(dict.fromkeys(audience.seen)), _all_tasks(plan), judged)


def _all_tasks(plan: RunPlan) -> int:
    return len(plan.config.tasks)


def _measure(run: Run, plan: RunPlan, *, stopped: bool) -> tuple[Figures, list[Judged]]:
    """Return the figures, and with them the verdict of every commit of main, run afresh."""
    events = list(audit.every(run.client))
    history = {repo: run.client.commits(repo) for repo in plan.config.repos}
    figures = report.of_log(events, history, plan.config.modules.values())
    (commits,) = history.values()  # the example has one repository
    if stopped:
        return figures, []
    run.view.say(f"running the oracle afresh on each of the {len(commits)} commits of main")
    shas = [commit.commit for commit in commits]
    judged = judge_all(run, shas, sorted(plan.config.suites), at_once=plan.config.run.oracle_slots)
    finding = audit.verification(run.client)
    for problem in finding.problems:
        run.view.say(f"audit: {problem}")
    first, last = judged[0].verdicts, judged[-1].verdicts
    return replace(
        figures,
        cases_start=report.passing(first),
        cases_end=report.passing(last),
        cases_total=report.cases(last),
        red_commits=len(report.red(judged)),
        audit_ok=finding.ok,
    ), judged


def judge_all(run: Run, commits: list[str], suites: list[str], *, at_once: int) -> list[Judged]:
    """Return a fresh verdict for every commit and suite, nothing taken from a cache."""
    pairs = [(suite, commit) for commit in commits for suite in suites]
    judged = oracle_jobs.run_many(run.client, pairs, fresh=True, at_once=at_once)
    jobs = dict(zip(pairs, judged, strict=True))
    return [Judged(commit, {suite: jobs[suite, commit].verdict for suite in suites}) for commit in commits]
