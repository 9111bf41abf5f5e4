"""Owns the picture of the landings: a panel for each number of slots and share of failing changes, agents
across, landings an hour up. Rule: without a display.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANEL_INCHES = 4.2
DPI = 110


@dataclass(frozen=True)
class Point:
    """`slots` is None where the system takes no notice of them: it is in every panel."""

    system: str
    agents: int
    slots: int | None
    failing: float
    per_h: float


def draw(file: Path, points: Sequence[Point], bounds: Mapping[tuple[int, int, float], float]) -> None:
    """`bounds` by agents, slots and failing share. Raises OSError where the file cannot be written."""
    slots, failing = sorted({key[1] for key in bounds}), sorted({key[2] for key in bounds})
    figure = Figure(figsize=(PANEL_INCHES * len(slots), PANEL_INCHES * len(failing)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(failing), len(slots), squeeze=False)
    for row, share in enumerate(failing):
        for column, many in enumerate(slots):
            _panel(
                panels[row][column],
                f"{many} oracle slots, {share:.0%} of changes fail",
                [point for point in points if point.failing == share and point.slots in (None, many)],
                {
                    agents: bound
                    for (agents, of, failed), bound in bounds.items()
                    if (of, failed) == (many, share)
                },
            )
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.savefig(file, dpi=DPI, format="png")


def _panel(axes, title: str, points: Sequence[Point], bounds: Mapping[int, float]) -> None:
    axes.plot(sorted(bounds), [bounds[agents] for agents in sorted(bounds)], "k--", label="bound B")
    for system in dict.fromkeys(point.system for point in points):
        line = sorted((point.agents, point.per_h) for point in points if point.system == system)
        axes.plot([agents for agents, _ in line], [per_h for _, per_h in line], "o-", label=system)
    axes.set(title=title, xlabel="agents", ylabel="landings per hour", xscale="log", ylim=(0, None))
    axes.set_xticks(sorted(bounds), [str(agents) for agents in sorted(bounds)], minor=False)
    axes.minorticks_off()
