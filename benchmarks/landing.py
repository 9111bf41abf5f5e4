"""`python -m benchmarks.landing`: what a swarm lands in an hour, beside the bound that nobody can pass and
beside three rivals.

Rule: the real server, git and leases; agents' writing and the oracle's runs are simulated, in time that runs
faster by `Pace.scale`. Times and rates that are told are those of the time simulated, unless they say
otherwise.
"""

import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import command, landing_cells
from benchmarks.command import say
from benchmarks.landing_cells import BORS, DISJOINT, LOCKS, OURS, RIVALS, SERIAL, WHOLE, Cell, Found
from benchmarks.landing_changes import bound_per_h
from benchmarks.landing_ideal import ideal
from benchmarks.report import Figure

AUTHOR_S, ORACLE_S = 600.0, 60.0  # simulated: G and T
LEAST_OF_B = {DISJOINT: 90.0, WHOLE: 75.0}
RUNS_MAX = 1.3  # of the oracle per landing, over 1 / (1 - f)
KEYS = {DISJOINT: "disjoint", WHOLE: "whole", LOCKS: "locks", SERIAL: "serial", BORS: "bors"}


@dataclass(frozen=True)
class Pace:
    """How fast simulated time runs, real seconds of warm-up and window, and how many cells run at once: as
    many as two cores carry easily.
    """

    scale: float
    warm_s: float
    window_s: float
    at_once: int


@dataclass(frozen=True)
class Size:
    paces: tuple[
        tuple[int, tuple[int, ...], Pace], ...
    ]  # agents, the numbers of slots that they are given in turn, and how fast
    failing: tuple[float, ...]
    rivals_at_once: int

    @property
    def bounds(self) -> dict["Key", Pace]:
        """Each bound that there is, with the pace of who is held against it."""
        return {
            (agents, slots, failing): pace
            for agents, some, pace in self.paces
            for slots in some
            for failing in self.failing
        }

    @property
    def slots(self) -> list[int]:
        return sorted({slots for _, some, _ in self.paces for slots in some})


# 64 agents on two slots land as few as 16 do, and need as long a window; on eight they land so many that the
# machine would be the limit.
FULL = Size(
    (
        (6, (2, 8), Pace(20, 45, 300, 8)),
        (16, (2, 8), Pace(20, 45, 200, 4)),
        (64, (2,), Pace(20, 75, 240, 2)),
        (64, (8,), Pace(10, 75, 120, 2)),
    ),
    (0.05, 0.2),
    rivals_at_once=18,
)
QUICK = Size(((4, (2,), Pace(60, 10, 25, 2)),), failing=(0.2,), rivals_at_once=3)


def measure(size: Size, plot: Path | None) -> tuple[list[Figure], dict[str, Any]]:
    machine = command.about()
    say("one submission alone")
    merge_s = landing_cells.merge_s(min(agents for agents, _, _ in size.paces))
    found: list[Found] = []
    for agents, some, pace in size.paces:
        # Slots last: of cells that run together some then have few of them, which costs the machine less.
        ours = [
            _cell(system, agents, slots, failing, pace)
            for system in OURS
            for failing in size.failing
            for slots in some
        ]
        found += _all(ours, pace.at_once)
    slowest = {agents: pace for agents, _, pace in size.paces}  # of each number of agents the last
    rivals = [
        _cell(system, agents, 0, failing, pace)
        for agents, pace in slowest.items()
        for failing in size.failing
        for system in RIVALS
    ]
    found += _all(rivals, size.rivals_at_once)
    if plot is not None:
        _draw(plot, size, found, merge_s)
    return [*_alone(merge_s), *_figures(size, found, merge_s)], machine


def _cell(system: str, agents: int, slots: int, failing: float, pace: Pace) -> Cell:
    return Cell(
        system,
        agents,
        slots,
        failing,
        AUTHOR_S / pace.scale,
        ORACLE_S / pace.scale,
        pace.warm_s,
        pace.window_s,
    )


def _all(cells: Sequence[Cell], at_once: int) -> list[Found]:
    stop = threading.Event()

    def one(cell: Cell) -> Found:
        found = landing_cells.run(cell, stop)
        say(
            f"{cell}: {found.landings} landings in {cell.window_s:g} s, machine {found.machine_share:.0%}"
            " busy"
        )
        return found

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(one, cell) for cell in cells]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:  # also on Ctrl-C
            stop.set()
            for future in running:
                future.cancel()
    return [future.result() for future in running]


def _scale(cell: Cell) -> float:
    return ORACLE_S / cell.oracle_s


def _scaled_per_h(found: Found) -> float:
    return found.per_h / _scale(found.cell)


Key = tuple[int, int, float]
"""Agents, slots, failing share."""


def _scaled_bound(size: Size, key: Key, merge_s: float) -> float:
    (agents, slots, failing), pace = key, size.bounds[key]
    return (
        bound_per_h(_cell(DISJOINT, agents, slots, failing, pace).load, agents, slots, merge_s) / pace.scale
    )


def _draw(file: Path, size: Size, found: Sequence[Found], merge_s: float) -> None:
    from benchmarks import landing_plot  # what draws takes a second to import, and is needed here alone

    points = [
        landing_plot.Point(
            one.cell.system, one.cell.agents, one.cell.slots or None, one.cell.failing, _scaled_per_h(one)
        )
        for one in found
    ]
    landing_plot.draw(file, points, {key: _scaled_bound(size, key, merge_s) for key in size.bounds})


# -- figures


def _alone(merge_s: float) -> list[Figure]:
    return [
        Figure(
            "merge_ms",
            merge_s * 1000,
            "ms",
            "m: one submission alone, without its run",
            about=f"median of {landing_cells.ALONE}; real time, in every B",
        )
    ]


def _figures(size: Size, found: Sequence[Found], merge_s: float) -> list[Figure]:
    figures: list[Figure] = []
    for one in found:
        figures += _of_ours(size, one, merge_s) if one.cell.system in OURS else _of_rival(size, one, merge_s)
    for system in (*OURS, *RIVALS):
        figures += _on_main(system, [one for one in found if one.cell.system == system])
    return figures + _beside_locks(size, found)


def _of_ours(size: Size, found: Found, merge_s: float) -> list[Figure]:
    cell = found.cell
    key = f"n{cell.agents}_w{cell.slots}_f{cell.failing * 100:.0f}_{KEYS[cell.system]}"
    best = ideal(cell.load, cell.agents, cell.slots, cell.warm_s, cell.window_s)
    bound = _scaled_bound(size, (cell.agents, cell.slots, cell.failing), merge_s)
    per_h = _scaled_per_h(found)
    about = (
        f"{per_h:.1f} of B {bound:.1f} landings/h ({found.landings} in the window, {_scale(cell):.0f} times"
        f" as fast; at no cost {best.mean:.0%} ± {best.sd:.0%}); {_times(found)}; machine"
        f" {found.machine_share:.0%} busy"
    )
    cpu_ms = found.server_cpu_s / max(found.landings, 1) * 1000
    return [
        Figure(
            f"{key}_share",
            per_h / bound * 100,
            "% of B",
            str(cell),
            LEAST_OF_B[cell.system],
            about,
            at_least=True,
        ),
        Figure(f"{key}_per_h", per_h, "/h"),
        Figure(f"{key}_bound_per_h", bound, "/h"),
        Figure(f"{key}_ideal_share", best.mean * 100, "% of B"),
        Figure(f"{key}_ideal_sd", best.sd * 100, "% of B"),
        Figure(f"{key}_runs", _runs(found), "", bound=RUNS_MAX / (1 - cell.failing)),
        Figure(f"{key}_server_cpu_ms", cpu_ms, "ms"),
        *_parts(key, found),
    ]


def _of_rival(size: Size, found: Found, merge_s: float) -> list[Figure]:
    cell = found.cell
    key = f"n{cell.agents}_f{cell.failing * 100:.0f}_{KEYS[cell.system]}"
    per_h = _scaled_per_h(found)
    shares = {
        slots: per_h / _scaled_bound(size, (cell.agents, slots, cell.failing), merge_s)
        for slots in size.slots
        if (cell.agents, slots, cell.failing) in size.bounds
    }
    of_bounds = ", ".join(f"{share:.0%} of B at {slots} slots" for slots, share in shares.items())
    about = f"{of_bounds}; {_times(found)}; machine {found.machine_share:.0%} busy"
    return [
        Figure(f"{key}_per_h", per_h, "/h", str(cell), about=about),
        *(Figure(f"{key}_share_w{slots}", share * 100, "% of B") for slots, share in shares.items()),
        Figure(f"{key}_runs", _runs(found), ""),
        *_parts(key, found),
    ]


def _parts(key: str, found: Found) -> list[Figure]:
    scale = _scale(found.cell)
    return [
        Figure(f"{key}_raw_per_h", found.per_h, "/h"),
        Figure(f"{key}_scale", scale, "times"),
        Figure(f"{key}_landings", found.landings, ""),
        Figure(f"{key}_p95_s", found.tally.quantile_s(found.window, 0.95) * scale, "s"),
        Figure(f"{key}_oldest_s", _oldest_s(found), "s"),
        Figure(f"{key}_red", found.main.red, "", bound=0 if found.cell.system in OURS else None),
        Figure(f"{key}_coordination", found.main.coordination, ""),
        Figure(f"{key}_machine_busy", found.machine_share * 100, "%"),
        Figure(f"{key}_pushed_again", found.tally.again, ""),
        Figure(f"{key}_runs_of_main", found.runs[1], ""),
    ]


def _times(found: Found) -> str:
    p95_s = found.tally.quantile_s(found.window, 0.95) * _scale(found.cell)
    of_main = f", {found.runs[1]} of main" if found.runs[1] else ""
    return (
        f"verdict p95 {p95_s:.0f} s, oldest {_oldest_s(found):.0f} s; {_runs(found):.2f} runs a"
        f" landing{of_main}"
    )


def _runs(found: Found) -> float:
    return found.runs[0] / max(found.landings, 1)


def _oldest_s(found: Found) -> float:
    return max(found.tally.waited_s(found.window), default=0.0) * _scale(found.cell)


def _on_main(system: str, found: Sequence[Found]) -> list[Figure]:
    """Over all cells of a system: what its main holds, from the first commit to the last; and the dearest
    cell.
    """
    ours, key = system in OURS, KEYS[system]
    commits = f"of {sum(one.main.commits for one in found)} commits in {len(found)} cells"
    dearest = max(_runs(one) * (1 - one.cell.failing) for one in found)
    return [
        Figure(
            f"red_{key}",
            sum(one.main.red for one in found),
            "",
            f"{system}: red commits on main",
            0 if ours else None,
            commits,
        ),
        Figure(
            f"coordination_{key}",
            sum(one.main.coordination for one in found),
            "",
            f"{system}: commits on main that only coordinate",
            0 if ours else None,
            commits,
        ),
        Figure(
            f"runs_{key}",
            dearest,
            "",
            f"{system}: runs a landing, times 1 - f, in the dearest cell",
            RUNS_MAX if ours else None,
        ),
    ]


def _beside_locks(size: Size, found: Sequence[Found]) -> list[Figure]:
    """In the largest cell."""
    agents, slots, failing = max(size.bounds, key=lambda key: (*key[:2], -key[2]))

    def per_h(of: Iterable[Found]) -> float:
        return _scaled_per_h(
            next(one for one in of if (one.cell.agents, one.cell.failing) == (agents, failing))
        )

    locks = per_h(one for one in found if one.cell.system == LOCKS)
    ours = per_h(one for one in found if one.cell.system == DISJOINT and one.cell.slots == slots)
    where = f"{agents} agents, {slots} slots, f {failing:g}"
    return [
        Figure(
            "times_locks",
            ours / locks if locks else 0.0,
            "times",
            f"{where}: disjoint over lock files",
            about=f"{ours:.1f} over {locks:.1f} landings/h",
        )
    ]


def main() -> int:
    options = command.options(
        "landing",
        "What a swarm lands in an hour: beside its bound, and beside lock files, a serial queue and batches.",
    )
    options.add_argument("--plot", type=Path, metavar="FILE", help="draw it too, as a PNG")
    chosen = options.parse_args()
    if chosen.plot is not None and not chosen.plot.absolute().parent.is_dir():
        options.error(f"--plot: there is no directory {chosen.plot.absolute().parent}")
    return command.run("landing", chosen, lambda quick: measure(QUICK if quick else FULL, chosen.plot))


if __name__ == "__main__":
    sys.exit(main())
