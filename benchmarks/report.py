"""Owns how measurements are told: as a table for people, as Markdown to paste, as JSON for programs. Rule:
pure; the bound stands beside the figure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEAD = ("measured", "value", "bound", "ratio", "from")


@dataclass(frozen=True)
class Figure:
    """One measured number. `bound` is the most it may be (or the least, with `at_least`), or None; `about`
    says what it was made from.

    A figure without a label is a part of others: JSON has it, the table does not.
    """

    key: str
    value: float
    unit: str
    label: str = ""
    bound: float | None = None
    about: str = ""
    at_least: bool = False

    @property
    def ratio(self) -> float | None:
        """The share of the bound that is used; a bound of nothing has none."""
        return self.value / self.bound if self.bound else None

    @property
    def met(self) -> bool | None:
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def to_json(self) -> dict[str, Any]:
        ratio = None if self.ratio is None else round(self.ratio, 3)
        return {
            "value": round(self.value, 4),
            "unit": self.unit,
            "bound": self.bound,
            "ratio": ratio,
            "met": self.met,
        }

    def row(self) -> tuple[str, ...]:
        bound = "" if self.bound is None else shown(self.bound, self.unit)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (
            self.label,
            shown(self.value, self.unit),
            bound,
            f"{ratio} NOT MET".strip() if self.met is False else ratio,
            self.about,
        )


def shown(value: float, unit: str) -> str:
    """The number with its unit, with no more digits than a reader uses."""
    fine = unit in ("s", "times")
    digits = 2 if fine else 0 if float(value).is_integer() else 1
    return f"{value:.{digits}f} {unit}".strip()


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [figure.row() for figure in figures if figure.label]


def table(figures: Sequence[Figure]) -> str:
    lines = [HEAD, *rows(figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    told = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    return "\n".join([told[0], "-" * max(map(len, told)), *told[1:]])


def markdown(figures: Sequence[Figure], machine: dict[str, Any]) -> str:
    lines = [HEAD, ("---", "---:", "---:", "---:", "---"), *rows(figures)]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", f"Measured on {about(machine)}."])


def about(machine: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())


def as_json(figures: Sequence[Figure], machine: dict[str, Any], **more: Any) -> str:
    """One line."""
    return json.dumps(
        {"figures": {figure.key: figure.to_json() for figure in figures}, "machine": machine, **more}
    )
