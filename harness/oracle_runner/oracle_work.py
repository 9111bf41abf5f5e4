"""Owns the work of one oracle job: which boxes it needs, in which order, and the check that the suite has
teeth.

Rule: reference and candidate never share a box, and no expected answer enters the candidate's.
"""

import contextlib
import functools
import io
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.boxes.containers import BoxBroke
from harness.oracle_runner import project_work
from harness.oracle_runner.ahead import Ahead
from harness.oracle_runner.held_out_box import HeldOutBox
from harness.oracle_runner.oracle_box import OracleBox
from harness.oracle_runner.warm_boxes import WarmBoxes
from mcp_server.wire.jobs import JobOrder
from oracle import globs
from oracle.cases.spec import SHELL, BadSpec, Case, Suite
from oracle.judging import run, verdict
from oracle.judging.answer import Answer, sound
from oracle.judging.doubt import doubted
from oracle.judging.verdict import CaseCounts, Verdict
from oracle.suites import kinds, teeth
from oracle.suites.base import CaseRules, ProjectRules
from oracle.suites.kinds import CANDIDATE, REFERENCE

RUN, CHECK = JOB_KINDS = ("run", "check")
SHRINK_AT_LEAST_S = 0.1

Tree = Callable[[], bytes]


class Work:
    """Judges a job in warm boxes of the images that its roles have; raises BoxBroke when a box, an image or
    the engine is to blame.
    """

    def __init__(self, boxes: WarmBoxes, images: Mapping[str, str]) -> None:
        self._boxes, self._images = boxes, images

    def judge(self, job_order: JobOrder, tree: Tree, reference_files: Tree) -> run.Ran:
        """Return what the job's run has shown. `tree` and `reference_files` fetch the tars of the candidate's
        and the reference's files, if they are needed.
        """
        suite, cases, cached = job_order.suite, job_order.cases, job_order.known_reference
        kind = kinds.find(suite)
        if kind is None or job_order.kind not in JOB_KINDS:
            return run.Ran(
                verdict.broken(
                    f"a {job_order.kind} of a suite of kind {suite.kind!r} is not known here",
                    cases=len(cases),
                )
            )
        is_check = job_order.kind == CHECK
        if kind.project and is_check:
            return run.Ran(self._check_project(job_order, suite, kind.project, tree()))
        if kind.project:
            return run.Ran(self._project(job_order, suite, kind.project, tree))
        assert kind.cases
        if is_check:
            return self._check(job_order, suite, kind.cases, cases, cached, reference_files)
        return self._differential(job_order, suite, kind.cases, cases, cached, tree, reference_files)

    def _differential(
        self,
        job_order: JobOrder,
        suite: Suite,
        rules: CaseRules,
        cases: Sequence[Case],
        cached: Mapping[str, Answer],
        tree: Tree,
        reference_files: Tree,
    ) -> run.Ran:
        if not cases:
            return run.Ran(verdict.broken("the suite has no cases"))
        budget_s = job_order.shrink_s
        with contextlib.ExitStack() as held:
            trusted = self._trusted(held, job_order, suite, reference_files)
            everything = [*cases, *job_order.beside]
            cached = {**cached, **rules.expectations(suite, cases)}
            unknown = [case for case in cases if case.id not in cached]
            reference = Ahead(held, self._reference(trusted, suite, rules, everything), unknown)
            box = held.enter_context(self._boxes.taken(self._images[CANDIDATE], CANDIDATE))
            # Of the cases that agents see alone: the time of held-out ones would tell something of them.
            watch = Stopwatch(
                _candidate(box, suite, suite.candidate or "", job_order.deadline_s, source=True)
            )
            hidden = HeldOutBox(lambda: self._box_for_held_out(held, job_order, suite, tree), time.monotonic)

            def candidate(cases: Sequence[Case]) -> Mapping[str, Answer]:
                return hidden.answer(cases) if any(case.hidden for case in cases) else watch(cases)

            ran = run.differential(
                cases,
                cached=cached,
                build=_placed(box, job_order, suite, tree),
                reference=reference,
                judge=rules.judge(suite, trusted(suite.comparator)),
                candidate=rules.whole(candidate, everything),
                shrinking=run.Shrinking(time.monotonic, budget_s) if budget_s >= SHRINK_AT_LEAST_S else None,
                trials_of=rules.trials(suite, everything),
            )
            time.sleep(hidden.pause_s())
            kept = {name: answer for name, answer in reference.rest().items() if sound(answer)}
            # The candidate ran more often where its failures were made small.
            run_ms = 0 if ran.verdict.failures and budget_s else round(watch.ran_s * 1000)
            timed_out_s = job_order.deadline_s if watch.is_late else 0
            timed = replace(ran.verdict, run_ms=run_ms, timed_out_s=timed_out_s)
            return replace(ran, verdict=timed, reference={**ran.reference, **kept})

    def _box_for_held_out(
        self, held: contextlib.ExitStack, job_order: JobOrder, suite: Suite, tree: Tree
    ) -> run.There:
        """Return what answers held-out cases: in a box of their own, which is thrown away with the job."""
        box = held.enter_context(self._boxes.single(self._images[CANDIDATE], CANDIDATE))
        build = box.prepare(tree(), suite)
        if build is not None and build.exit != 0:
            failed = Answer("", build.exit, "the build failed in the box of the held-out cases")
            return lambda cases: {case.id: failed for case in cases}
        return _candidate(box, suite, suite.candidate or "", job_order.deadline_s, source=True)

    def _trusted(
        self, held: contextlib.ExitStack, job_order: JobOrder, suite: Suite, files: Tree
    ) -> Callable[[str | None], run.There]:
        """Return what runs a command in the reference's box, in the directory with the suite's
        `reference_reads`, if it has any.

        The box is taken on the first use, and held until the job ends: most jobs know every answer already.
        """
        taken: list[OracleBox] = []
        alone = replace(suite, build=None, start="process", protocol=SHELL)  # these are the candidate's
        source = bool(suite.reference_reads)

        def there(command: str | None, cases: Sequence[Case]) -> Mapping[str, Answer]:
            if not taken:
                box = held.enter_context(self._boxes.taken(self._images[REFERENCE], REFERENCE))
                if source:
                    _placed_trusted(box, job_order, alone, files)
                taken.append(box)
            return taken[0].answer(
                alone, command or "", cases, source=source, deadline_s=job_order.deadline_s
            )

        return lambda command: functools.partial(there, command)

    def _reference(
        self,
        trusted: Callable[[str | None], run.There],
        suite: Suite,
        rules: CaseRules,
        cases: Sequence[Case],
    ) -> run.There:
        """Return what asks the reference, and doubts what it answers."""
        whole = rules.whole(trusted(suite.reference), cases)

        def there(asked: Sequence[Case]) -> Mapping[str, Answer]:
            return {id: doubted(answer, suite.reference_exit) for id, answer in whole(asked).items()}

        return there

    def _check(
        self,
        job_order: JobOrder,
        suite: Suite,
        rules: CaseRules,
        cases: Sequence[Case],
        cached: Mapping[str, Answer],
        reference_files: Tree,
    ) -> run.Ran:
        """Plant every wrong engine in the candidate's place. The candidate itself does not matter here."""
        deadline_s = job_order.deadline_s
        with contextlib.ExitStack() as held:
            trusted = self._trusted(held, job_order, suite, reference_files)
            judging = rules.judge(suite, trusted(suite.comparator))
            cached = {**cached, **rules.expectations(suite, cases)}
            new = run.answers_of_reference(
                cases, reference=self._reference(trusted, suite, rules, cases), cached=cached
            )
            answers = {**cached, **new}
            boxes = self._boxes.single if any(case.hidden for case in cases) else self._boxes.taken
            box = held.enter_context(boxes(self._images[CANDIDATE], CANDIDATE))
            rows = []
            for engine in rules.engines(suite):
                if isinstance(engine, teeth.WrongAnswers):
                    decided = verdict.decide(
                        cases, engine.answers(cases, answers), answers, judge=teeth.comparing(judging)
                    )
                else:
                    planted = rules.whole(
                        _candidate(box, suite, engine.command, deadline_s, source=False), cases
                    )
                    decided = verdict.decide(cases, run.collect(planted, cases), answers, judge=judging)
                if decided.status == verdict.BROKEN:
                    return run.Ran(decided)
                rows.append(teeth.noticed(engine.name, decided))
        counts = CaseCounts(len(cases), len(cases), len(cases))
        return run.Ran(
            teeth.conclude(rows, counts, by_case=True),
            {name: answer for name, answer in new.items() if sound(answer)},
        )

    def _project(self, job_order: JobOrder, suite: Suite, rules: ProjectRules, tree: Tree) -> Verdict:
        with self._boxes.taken(self._images[CANDIDATE], CANDIDATE) as box:
            return project_work.judge(
                box, suite, rules, _placed(box, job_order, suite, tree), on_main=job_order.on_main
            )

    def _check_project(self, job_order: JobOrder, suite: Suite, rules: ProjectRules, tree: bytes) -> Verdict:
        with self._boxes.taken(self._images[CANDIDATE], CANDIDATE) as box:
            return project_work.check(box, job_order, suite, rules, tree)


def _placed(box: OracleBox, job_order: JobOrder, suite: Suite, tree: Tree) -> verdict.Built | None:
    """Place and build the tree in the box, unless the box holds just this tree, built; return the build."""
    tree_key = (job_order.repo, job_order.tree_key, suite.key())
    if job_order.tree_key and box.placed == tree_key:
        return box.built
    build = box.prepare(tree, suite)
    box.placed = tree_key if build is None or build.exit == 0 else None
    return build


def _placed_trusted(box: OracleBox, job_order: JobOrder, suite: Suite, files: Tree) -> None:
    """Place the files of main that the reference and the comparator read; suites that name the same ones
    share them. Raise BadSpec if one is missing.
    """
    key = job_order.reference_key
    files_key = (REFERENCE, job_order.repo, key, suite.reference_reads)
    if key and box.placed == files_key:
        return
    tar = files()
    names = _files(tar)
    if lacking := next(
        (glob for glob in suite.reference_reads if not any(globs.matches(glob, name) for name in names)), None
    ):
        raise BadSpec(f"reference_reads: no file of main matches {lacking!r}")
    box.prepare(tar, suite)
    box.placed = files_key


class Stopwatch:
    """Runs cases there, and notes how long that took in all and whether the time of the run was up."""

    def __init__(self, there: run.There) -> None:
        self._there = there
        self.ran_s = 0.0
        self.is_late = False

    def __call__(self, cases: Sequence[Case]) -> Mapping[str, Answer]:
        began_s = time.monotonic()
        answers = self._there(cases)
        self.ran_s += time.monotonic() - began_s
        self.is_late = self.is_late or any(answer.late for answer in answers.values())
        return answers


def _candidate(box: OracleBox, suite: Suite, command: str, deadline_s: float, *, source: bool) -> run.There:
    def there(cases: Sequence[Case]) -> Mapping[str, Answer]:
        answers = box.answer(suite, command, cases, source=source, deadline_s=deadline_s)
        if not answers and not box.alive():
            raise BoxBroke("the candidate's box is gone")
        return answers

    return there


def _files(tree: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        return [entry.name for entry in archive if entry.isfile()]
