"""Owns the work of one oracle job: which boxes it needs, in which order, and the check that the suite has teeth.

Rule: reference and candidate never share a box, and no expected answer enters the candidate's.
"""

import contextlib
import io
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.containers import BoxBroke
from harness.oracle_box import OracleBox
from harness.warm_boxes import WarmBoxes
from oracle import judge, run, teeth, verdict
from oracle.answer import Answer, sound
from oracle.spec import Case, Suite
from oracle.verdict import Counts, Verdict

CANDIDATE, REFERENCE = "candidate", "reference"
SHRINK_AT_LEAST_S = 0.1

Json = dict[str, Any]
Tree = Callable[[], bytes]


class Work:
    """Judges jobs in warm boxes; raises BoxBroke when a box, an image or the engine is to blame."""

    def __init__(self, boxes: WarmBoxes, image_for: Callable[[Suite, str], str]) -> None:
        self._boxes = boxes
        self._image_for = image_for

    def judge(self, job: Json, tree: Tree) -> run.Ran:
        suite = Suite.from_json(job["suite"])
        cases = [Case.from_json(case) for case in job["cases"]]
        known = {name: Answer.from_json(answer) for name, answer in job.get("known_reference", {}).items()}
        match suite.kind, job["kind"]:
            case "differential", "run":
                return self._differential(job, suite, cases, known, tree)
            case "differential", "check":
                return self._check(job, suite, cases, known)
            case "command", "run":
                return run.Ran(self._project(job, suite, tree))
            case "command", "check":
                return run.Ran(self._check_project(job, suite, tree()))
        return run.Ran(verdict.broken(f"a {job['kind']} of a suite of kind {suite.kind!r} is not known here", cases=len(cases)))

    def _differential(self, job: Json, suite: Suite, cases: Sequence[Case], known: Mapping[str, Answer], tree: Tree) -> run.Ran:
        if not cases:
            return run.Ran(verdict.broken("the suite has no cases"))
        with contextlib.ExitStack() as held:
            reference = self._reference(held, suite, job["deadline_s"])
            box = held.enter_context(self._boxes.taken(self._image_for(suite, CANDIDATE), CANDIDATE))
            build = _placed(box, job, suite, tree)
            candidate = _candidate(box, suite, suite.candidate or "", job["deadline_s"], source=True)
            judging = judge.by_output(suite.compare)
            ran = run.differential(cases, candidate=candidate, reference=reference, known=known, judge=judging, build=build)
            budget_s = float(job.get("shrink_s", 0))
            if budget_s < SHRINK_AT_LEAST_S or not ran.verdict.failures or build and build.exit != 0:
                return ran
            small = run.shrunk(
                cases, ran.verdict, candidate=candidate, reference=reference, judge=judging, now=time.monotonic, budget_s=budget_s
            )
            return run.Ran(small, ran.reference)

    def _reference(self, held: contextlib.ExitStack, suite: Suite, deadline_s: float) -> run.There:
        """Its box is taken on the first use, and held until the job ends: most jobs know every answer already."""
        taken: list[OracleBox] = []

        def there(cases: Sequence[Case]) -> Mapping[str, Answer]:
            if not taken:
                taken.append(held.enter_context(self._boxes.taken(self._image_for(suite, REFERENCE), REFERENCE)))
            return taken[0].batch(suite, suite.reference or "", cases, source=False, deadline_s=deadline_s)

        return there

    def _check(self, job: Json, suite: Suite, cases: Sequence[Case], known: Mapping[str, Answer]) -> run.Ran:
        """Plants every wrong engine in the candidate's place. The candidate itself does not matter here."""
        deadline_s = job["deadline_s"]
        with contextlib.ExitStack() as held:
            new = run.answers_of_reference(cases, reference=self._reference(held, suite, deadline_s), known=known)
            answers = {**known, **new}
            box = held.enter_context(self._boxes.taken(self._image_for(suite, CANDIDATE), CANDIDATE))
            rows = []
            for engine in teeth.ENGINES:
                if isinstance(engine, teeth.WrongAnswers):
                    given = engine.answers(cases, answers)
                else:
                    given = run.collect(_candidate(box, suite, engine.command, deadline_s, source=False), cases)
                decided = verdict.decide(cases, given, answers, judge=judge.by_output(suite.compare))
                if decided.status == verdict.BROKEN:
                    return run.Ran(decided)
                rows.append(teeth.noticed(engine.name, decided))
        counts = Counts(len(cases), len(cases), len(cases))
        return run.Ran(teeth.conclude(suite, rows, counts), {name: answer for name, answer in new.items() if sound(answer)})

    def _project(self, job: Json, suite: Suite, tree: Tree) -> Verdict:
        with self._boxes.taken(self._image_for(suite, CANDIDATE), CANDIDATE) as box:
            build = _placed(box, job, suite, tree)
            ended = box.project(suite, suite.command or "") if build is None or build.exit == 0 else None
            return run.project(suite, ended, build=build)

    def _check_project(self, job: Json, suite: Suite, tree: bytes) -> Verdict:
        """The suite must run as it is, and must not pass once nothing is behind it."""
        with self._boxes.taken(self._image_for(suite, CANDIDATE), CANDIDATE) as box:
            whole = self._planted(box, suite, tree, suite.command or "", empty=())
            if whole.status == verdict.BROKEN:
                return verdict.broken(f"the suite itself does not run: {whole.reason}", build=whole.build)
            hollow = teeth.emptied(suite, _files(tree), job.get("sources", ()))
            rows = []
            for project in teeth.projects(suite):
                command = project.command or suite.command or ""
                empty = hollow if project.emptied else ()
                rows.append(teeth.noticed(project.name, self._planted(box, suite, tree, command, empty=empty)))
        return teeth.conclude(suite, rows, whole.counts)

    def _planted(self, box: OracleBox, suite: Suite, tree: bytes, command: str, *, empty: Sequence[str]) -> Verdict:
        build = box.prepare(tree, suite, empty=empty)
        ended = box.project(suite, command) if build is None or build.exit == 0 else None
        return run.project(suite, ended, build=build)


def _placed(box: OracleBox, job: Json, suite: Suite, tree: Tree) -> verdict.Built | None:
    """The tree in the box, built; a box that holds just this tree, built, is used as it is."""
    wanted = (job["repo"], job["tree_key"], suite.key())
    if job["tree_key"] and box.placed == wanted:
        return box.built
    build = box.prepare(tree(), suite)
    box.placed = wanted if build is None or build.exit == 0 else None
    return build


def _candidate(box: OracleBox, suite: Suite, command: str, deadline_s: float, *, source: bool) -> run.There:
    def there(cases: Sequence[Case]) -> Mapping[str, Answer]:
        answers = box.batch(suite, command, cases, source=source, deadline_s=deadline_s)
        if not answers and not box.alive():
            raise BoxBroke("the candidate's box is gone")
        return answers

    return there


def _files(tree: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        return [entry.name for entry in archive if entry.isfile()]
