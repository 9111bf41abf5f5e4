"""Owns how the cost of models is shown: per agent, per model and per landed change; pure. Rule: a lower bound
is marked as one.
"""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from harness.show.report import Spending
from mcp_server.wire.reports import SpendingSum

LOWER_BOUND = "+"  # behind a figure: at least so much


def tables(spending: Spending) -> list[Table | Text]:
    """Return what to print of the spending; nothing if no model was asked."""
    if not spending.total.requests:
        return []
    parts: list[Table | Text] = [
        _table("what models cost, by agent", "agent", [(row.agent, row) for row in spending.agents]),
        _table(
            "by model",
            "account and model",
            [(f"{row.account} {row.model or '?'}", row) for row in spending.models],
        ),
    ]
    if spending.landed:
        parts.append(
            _table(
                "by landed change",
                "change",
                [(f"{row.commit} {row.task} {row.agent}: {row.summary}", row) for row in spending.landed],
            )
        )
    return [*parts, Text(last_line(spending))]


def last_line(spending: Spending) -> str:
    """Return the sum, and what a landed change has cost with everything that came to nothing."""
    total = spending.total
    line = f"in all {tokens(total)} tokens in {total.requests} requests, {usd(total)}"
    if spending.usd_per_landing is not None:
        line += (
            f"; {spending.usd_per_landing:.4f} USD per landed change, failed attempts and overhead included"
        )
    if total.is_lower_bound:
        line += (
            f" ({LOWER_BOUND} at least: {total.unpriced} requests without a price, "
            f"{total.unknown} without a count, {total.partial} broken off)"
        )
    return line


def tokens(row: SpendingSum) -> str:
    """Return the tokens, marked if there were more."""
    return f"{row.tokens:,}" + (LOWER_BOUND if row.unknown or row.partial else "")


def usd(row: SpendingSum) -> str:
    """Return the cost; one that nobody knows anything of is unknown, not zero."""
    if row.unpriced and not row.cost_usd:
        return "cost unknown"
    return f"{row.cost_usd:.4f} USD" + (LOWER_BOUND if row.is_lower_bound else "")


def _table(title: str, first: str, rows: Iterable[tuple[str, SpendingSum]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for name in ("requests", "input", "cached", "output", "tokens", "cost"):
        table.add_column(name, justify="right")
    for name, row in rows:
        table.add_row(
            Text(name),
            str(row.requests),
            f"{row.input:,}",
            f"{row.cached_read:,}",
            f"{row.output:,}",
            tokens(row),
            usd(row),
        )
    return table
