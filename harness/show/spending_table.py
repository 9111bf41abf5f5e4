"""Owns how the cost of models is shown: per agent, per model and per landed change; pure. Rule: a lower bound
is marked as one.
"""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from harness.show.report import Json, Spending, is_lower_bound

LOWER_BOUND = "+"  # behind a figure: at least so much


def tables(spending: Spending) -> list[Table | Text]:
    if not spending.total["requests"]:
        return []
    shown: list[Table | Text] = [
        _table("what models cost, by agent", "agent", [(one["agent"], one) for one in spending.agents]),
        _table(
            "by model",
            "account and model",
            [(f"{one['account']} {one['model'] or '?'}", one) for one in spending.models],
        ),
    ]
    if spending.landed:
        shown.append(
            _table(
                "by landed change",
                "change",
                [
                    (f"{one['commit']} {one['task']} {one['agent']}: {one['summary']}", one)
                    for one in spending.landed
                ],
            )
        )
    return [*shown, Text(last_line(spending))]


def last_line(spending: Spending) -> str:
    """The sum, and what a landed change has cost with everything that came to nothing."""
    total = spending.total
    line = f"in all {tokens(total)} tokens in {total['requests']} requests, {usd(total)}"
    if spending.usd_per_landing is not None:
        line += (
            f"; {spending.usd_per_landing:.4f} USD per landed change, failed attempts and overhead included"
        )
    if is_lower_bound(total):
        line += f" ({LOWER_BOUND} at least: {total['unpriced']} requests without a price, {total['unknown']} without a count, {total['partial']} broken off)"
    return line


def tokens(row: Json) -> str:
    return f"{row['tokens']:,}" + (LOWER_BOUND if row["unknown"] or row["partial"] else "")


def usd(row: Json) -> str:
    """A cost that nobody knows anything of is unknown, not zero."""
    if row["unpriced"] and not row["cost_usd"]:
        return "cost unknown"
    return f"{row['cost_usd']:.4f} USD" + (LOWER_BOUND if is_lower_bound(row) else "")


def _table(title: str, first: str, rows: Iterable[tuple[str, Json]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for name in ("requests", "input", "cached", "output", "tokens", "cost"):
        table.add_column(name, justify="right")
    for name, row in rows:
        table.add_row(
            Text(name),
            str(row["requests"]),
            f"{row['input']:,}",
            f"{row['cached_read']:,}",
            f"{row['output']:,}",
            tokens(row),
            usd(row),
        )
    return table
