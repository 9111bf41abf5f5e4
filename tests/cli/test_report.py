"""The figures of a run follow from its log, its history and its verdicts; a figure that is not known is None."""

from typing import Any

import pytest

from harness.show import demo_report, report, witness
from harness.show.demo_report import DemoFigures
from harness.show.incidents import IncidentKind
from harness.show.report import Figures, Judged
from mcp_server.config import Module
from mcp_server.wire.events import LoggedEvent, MainCommit
from oracle.judging.verdict import CaseCounts, Verdict
from tests import wired
from tests.wired import commit

Json = dict[str, Any]
MODULES = [Module("parser", "engine", ("src/parser/**",)), Module("docs", "engine", ("docs/*.md",))]


def event(seq: int, kind: str, **fields: Any) -> LoggedEvent:
    return wired.event(kind, seq=seq, **fields)


LOG = [
    event(1, "main_imported", repo="engine", old=None, new="c0"),
    event(2, "lease_granted", ms=10),
    event(3, "tool_call", ms=11, tool="claim_task", status="leased").changed(
        data={"tool": "claim_task", "status": "leased", "ms": 7}
    ),
    event(4, "refusal", ms=12, code="overlap"),
    event(5, "refusal", ms=13, code="overlap"),
    event(6, "submission", ms=1000, submission=1, state="queued"),
    event(7, "submission", ms=1500, submission=1, state="testing"),
    event(8, "landed", ms=4000, submission=1, commit="c1"),
    event(9, "task_state", ms=4000, state="done"),
]


def test_the_log_is_counted() -> None:
    history = {"engine": [commit("c-1"), commit("c0", "README"), commit("c1", "src/parser/a.py", "README")]}
    figures = report.of_log(LOG, history, MODULES)
    assert (figures.tasks_done, figures.landed, figures.claims, figures.refused) == (1, 1, 1, {"overlap": 2})
    assert (figures.work_commits, figures.coordination_commits) == (1, 0)
    assert (figures.claim_ms_p50, figures.push_ms_p50) == (7, 3000)
    assert figures.red_commits is None


def test_a_commit_that_changes_no_module_is_coordination() -> None:
    history = {"engine": [commit("c0"), commit("lock", "current_tasks/T1.txt"), commit("work", "docs/a.md")]}
    figures = report.of_log(LOG, history, MODULES)
    assert (figures.work_commits, figures.coordination_commits) == (1, 1)


def test_a_task_that_was_opened_again_is_not_done() -> None:
    assert report.tasks_done([*LOG, event(10, "task_state", state="open")]) == 0


def verdict(status: str = "failed", *, reason: str = "", **outcomes: str) -> Verdict:
    return Verdict(status, reason, CaseCounts(cases=len(outcomes)), outcomes)


def judged(*verdicts: Verdict) -> list[Judged]:
    return [Judged(f"c{number}", {"sql": one}) for number, one in enumerate(verdicts)]


def test_a_commit_is_red_when_it_loses_a_case_of_its_parent() -> None:
    history = judged(verdict(a="pass", b="fail"), verdict(a="fail", b="pass"), verdict(a="fail", b="pass"))
    assert report.red(history) == ["c1"]


def test_a_case_that_vanishes_is_lost() -> None:
    assert report.red(judged(verdict(a="pass", b="pass"), verdict(a="pass"))) == ["c1"]


@pytest.mark.parametrize("bad", [verdict("broken", a="pass"), verdict("passed")])
def test_a_broken_run_is_red_wherever_it_stands(bad: Verdict) -> None:
    assert report.red(judged(bad)) == ["c0"]


def test_a_broken_run_says_nothing_of_the_cases() -> None:
    (one,) = judged(verdict("broken", reason="no engine"))
    assert (report.passing(one.verdicts), report.cases(one.verdicts), report.broken([one, one])) == (
        None,
        None,
        ["no engine"],
    )


def test_progress_is_not_red() -> None:
    assert report.red(judged(verdict(a="fail"), verdict(a="pass"), verdict("passed", a="pass"))) == []


GOOD = Figures(
    tasks_done=2, landed=2, claims=3, refused=dict.fromkeys(demo_report.REFUSALS_SHOWN, 1), coordination_commits=0,
    work_commits=2, claim_ms_p50=5.0, push_ms_p50=900.0, wall_s=60.0, cases_start=1, cases_end=9, cases_total=9,
    red_commits=0, audit_ok=True, containers_left=0, containers_started=12,
)  # fmt: skip


def measured(**changes: object) -> DemoFigures:
    seen = changes.pop("seen", tuple(IncidentKind))
    return DemoFigures(Figures(**{**GOOD.to_json(), **changes}), seen, 2, [])  # type: ignore[arg-type]


def test_a_run_that_keeps_every_promise_has_nothing_unmet() -> None:
    assert demo_report.unmet(measured()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tasks_done": 1}, "1 of 2 tasks"),
        ({"red_commits": 1}, "red commits"),
        ({"red_commits": None}, "red commits on main: ?"),
        ({"coordination_commits": 3}, "3 commits"),
        ({"cases_end": 8}, "8 of 9 cases"),
        ({"cases_end": None, "cases_total": None}, "? of ? cases"),
        ({"cases_end": 0, "cases_total": 0}, "0 of 0 cases"),
        ({"containers_left": 1}, "containers left: 1"),
        ({"audit_ok": None}, "audit"),
        ({"refused": {"held": 1}}, "never refused: overlap"),
        ({"seen": (IncidentKind.RACE,)}, "never happened: overlap"),
    ],
)
def test_each_broken_promise_is_named(change: Json, told: str) -> None:
    assert any(told in sentence for sentence in demo_report.unmet(measured(**change)))


def test_the_published_figures_stand_beside_ours() -> None:
    text = demo_report.beside_lock_files(GOOD)
    assert "54 % there   0 % here" in text


LANDED = commit("c1", Task="T1", Agent="a-1", Fence="4", **{"Audit-Checkpoint": "7 h7"})


TOGETHER = ({"Task": "T1", "Agent": "a-1", "Fence": "4"}, {"Task": "T2", "Agent": "b-1", "Fence": "5"})


def test_of_a_batch_each_change_is_held_against_its_own_event() -> None:
    one = next(event for event in LOG if event.kind == "landed")
    two = one.changed(seq=99, task="T2", agent="b-1", fence=5)
    assert witness.disagreements([LANDED.changed(changes=TOGETHER)], [*LOG, two]) == []
    assert any(
        "tell of T2" in problem for problem in witness.disagreements([LANDED.changed(changes=TOGETHER)], LOG)
    )
    assert any(
        "'b-1', the log says 'c-1'" in problem
        for problem in witness.disagreements(
            [LANDED.changed(changes=TOGETHER)], [*LOG, two.changed(agent="c-1")]
        )
    )


def test_history_and_log_agree() -> None:
    assert witness.disagreements([commit("c0"), LANDED], LOG) == []


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ([commit("c0")], "main does not hold it"),
        (
            [LANDED.changed(trailers={**LANDED.trailers, "Agent": "b-1"})],
            "its trailer Agent is 'b-1', the log says 'a-1'",
        ),
        (
            [LANDED.changed(trailers={**LANDED.trailers, "Audit-Checkpoint": "7 other"})],
            "its checkpoint says other",
        ),
        ([commit("c1", Task="T1", Agent="a-1", Fence="4")], "its trailer Audit-Checkpoint is None"),
        ([LANDED, commit("forged", **{"Audit-Checkpoint": "7 h7"})], "claims to have landed"),
    ],
)
def test_every_disagreement_is_named(history: list[MainCommit], told: str) -> None:
    assert any(told in problem for problem in witness.disagreements(history, LOG))
