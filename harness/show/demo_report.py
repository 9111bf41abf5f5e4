"""Owns what the demo promises, and how its figures are shown; pure.

Rule: the figures of the lock-file swarm stand beside ours as text, published by others; ours are all
measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from harness.show.incidents import IncidentKind
from harness.show.report import Figures, Judged, broken, passing, red

REFUSALS_SHOWN = (
    "held",
    "overlap",
    "outside_module",
    "oracle_failed",
    "regression",
    "stale_fence",
    "protected_ref",
)


@dataclass(frozen=True)
class DemoFigures:
    figures: Figures
    seen: Sequence[IncidentKind]
    tasks: int
    judged: Sequence[Judged]

    def to_json(self) -> dict[str, Any]:
        per_commit = [{"commit": one.commit, "passing": passing(one.verdicts)} for one in self.judged]
        return {
            **self.figures.to_json(),
            "incidents": [str(kind) for kind in self.seen],
            "commits": per_commit,
        }


def unmet(measured: DemoFigures) -> list[str]:
    """Every promise that this run did not keep, one sentence each."""
    figures = measured.figures
    checks = [
        (figures.tasks_done == measured.tasks, f"{figures.tasks_done} of {measured.tasks} tasks are done"),
        (
            figures.red_commits == 0,
            f"red commits on main: {_text(figures.red_commits)} {_named(red(measured.judged))}",
        ),
        (
            figures.coordination_commits == 0,
            f"{figures.coordination_commits} commits on main change no file of a module",
        ),
        (
            figures.cases_total is not None
            and figures.cases_total > 0
            and figures.cases_end == figures.cases_total,
            f"{_text(figures.cases_end)} of {_text(figures.cases_total)} cases pass at the end",
        ),
        (figures.containers_left == 0, f"containers left: {_text(figures.containers_left)}"),
        (figures.audit_ok is True, "the audit log does not verify"),
    ]
    checks += [(False, f"the oracle broke: {reason}") for reason in broken(measured.judged)]
    missing = [code for code in REFUSALS_SHOWN if not figures.refused.get(code)]
    unseen = [str(kind) for kind in IncidentKind if kind not in measured.seen]
    checks += [
        (not missing, f"never refused: {', '.join(missing)}"),
        (not unseen, f"never happened: {', '.join(unseen)}"),
    ]
    return [sentence for kept, sentence in checks if not kept]


def table(figures: Figures) -> Table:
    rows_table = Table(title="what this run did", title_justify="left", show_header=False)
    rows_table.add_column(style="bold")
    rows_table.add_column(justify="right")
    for name, value in rows(figures):
        rows_table.add_row(name, value)
    return rows_table


def rows(figures: Figures) -> list[tuple[str, str]]:
    refused = ", ".join(f"{code} {count}" for code, count in figures.refused.items()) or "none"
    return [
        ("tasks done", str(figures.tasks_done)),
        ("landed", str(figures.landed)),
        ("claims", str(figures.claims)),
        ("refused", refused),
        ("commits on main that are work", str(figures.work_commits)),
        ("commits on main for coordination", str(figures.coordination_commits)),
        (
            "cases passing",
            f"{_text(figures.cases_start)} → {_text(figures.cases_end)} of {_text(figures.cases_total)}",
        ),
        ("red commits on main", _text(figures.red_commits)),
        ("audit log verifies", {True: "yes", False: "NO", None: "?"}[figures.audit_ok]),
        ("containers started", _text(figures.containers_started)),
        ("containers left", _text(figures.containers_left)),
        ("claim until decided, median", _ms(figures.claim_ms_p50)),
        ("push, submitted to landed, median", _ms(figures.push_ms_p50)),
        ("wall time", f"{figures.wall_s:.1f} s"),
    ]


def beside_lock_files(figures: Figures) -> str:
    """Ours beside what was published of a swarm of six that coordinated by lock files in git."""
    commits = figures.work_commits + figures.coordination_commits
    share = f"{100 * figures.coordination_commits / commits:.0f} %" if commits else "?"
    return "\n".join(
        [
            "beside a published swarm of six agents that coordinated by lock files in git "
            "(its figures are not ours):",
            f"  commits that only coordinate      54 % there   {share} here",
            "  locks abandoned                   17 of 76 there",
            "  commits that did not compile      3 of 63 there, "
            f"commits that lose a passing case here: {_text(figures.red_commits)} of {commits}",
            "  agents that never started         2 of 6 there",
        ]
    )


def _text(value: object) -> str:
    return "?" if value is None else str(value)


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f} ms" if value >= 1 else "under 1 ms"


def _named(commits: Sequence[str]) -> str:
    return "(" + ", ".join(commit[:10] for commit in commits) + ")" if commits else ""
