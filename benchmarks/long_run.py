"""`python -m benchmarks.long_run`: very many landings on one repository, and what of the last ones is dearer
or larger than of the first ones.

Rule: the real server through its outer doors; changes are small and disjoint, the oracle answers at once, and
the tree keeps its size: what grows is history alone.
"""

import asyncio
import dataclasses
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import command, landing_site, landing_sizes
from benchmarks.command import cpu_s, say
from benchmarks.landing_agents import Author
from benchmarks.landing_changes import Change
from benchmarks.landing_git import Bare
from benchmarks.landing_site import Site
from benchmarks.landing_sizes import Sizes
from benchmarks.landing_tally import Tally, Window
from benchmarks.report import Figure, shown
from harness.failure import Exit, VerbFailed

GROWTH_MAX = 1.3  # the last tenth over the first
LANDINGS, QUICK_LANDINGS = 10_000, 20
TENTHS = 10
AGENTS = 4  # each with a module, which has a suite of its own
FILES = 32  # of each module, written over and over
WORDS = {
    "repository_mb": "repository",
    "database_mb": "database",
    "log_mb": "log and checkpoints",
    "server_mb": "memory of the server",
}
SESSION_LANDINGS = 10  # then the agent has another session: a new token, and a new ref for its uploads


@dataclass(frozen=True)
class Tenth:
    """`wall_s` and `cpu_s` (the server's) are for one landing, `push_s` is the median from a push until its
    verdict.
    """

    landings: int
    wall_s: float
    cpu_s: float
    push_s: float
    sizes: Sizes


def measure(landings: int) -> tuple[list[Figure], dict[str, Any]]:
    machine = command.about()
    tenths: list[Tenth] = []
    with landing_site.opened(AGENTS, closures=True, slots=AGENTS) as site:
        for number in range(TENTHS):
            tenths.append(_tenth(site, landings // TENTHS))
            last = tenths[-1]
            say(
                f"tenth {number + 1}: {last.wall_s * 1000:.0f} ms and {last.cpu_s * 1000:.0f} ms of CPU a"
                f" landing; {last.sizes.packs} packs, {last.sizes.loose_refs} loose refs"
            )
        main = site.landed.history(site.first, "")
    landed = sum(tenth.landings for tenth in tenths)
    return [
        *_growth(tenths),
        *_sizes(tenths),
        Figure("landed", main.commits, "", "commits on main", landed, "one for each landing", at_least=True),
    ], machine


def _tenth(site: Site, landings: int) -> Tenth:
    """With clones that are made anew, as those of new sandboxes are."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as scratch:
        fresh = dataclasses.replace(site, clones=Bare.create(Path(scratch) / "clones.git"), tally=Tally())
        pid = site.served.server.pid
        spent, began = cpu_s(pid), time.monotonic()
        asyncio.run(_land(fresh, landings))
        wall_s, spent = time.monotonic() - began, cpu_s(pid) - spent
    landed = fresh.tally.landings(Window(began, time.monotonic()))
    push_s = fresh.tally.quantile_s(Window(began, time.monotonic()), 0.5)
    return Tenth(landed, wall_s / landed, spent / landed, push_s, landing_sizes.of(site))


async def _land(site: Site, landings: int) -> None:
    left, session = iter(range(landings)), min(SESSION_LANDINGS, math.ceil(landings / AGENTS))
    await asyncio.gather(*(_agent(site, number, left, session) for number in range(AGENTS)))


async def _agent(site: Site, number: int, left: Iterator[int], session: int) -> None:
    """Session after session of so many landings, until none is left."""
    while share := list(itertools.islice(left, session)):
        author = await asyncio.to_thread(Author, site, number)
        for change in share:
            lease = await author.claim()
            if not await author.land(lease, Change(lease["task"]["module"], change % FILES)):
                raise VerbFailed("a good change did not land", Exit.INFRASTRUCTURE)
            await asyncio.to_thread(author.plan, lease)
        author.close()
        await asyncio.to_thread(author.end)


def _growth(tenths: list[Tenth]) -> list[Figure]:
    first, last = tenths[0], tenths[-1]
    found = []
    for key, label in {
        "wall_s": "time a landing",
        "cpu_s": "server's CPU a landing",
        "push_s": "a push until its verdict, median",
    }.items():
        before, after = getattr(first, key), getattr(last, key)
        about = f"{before * 1000:.0f} ms, {after * 1000:.0f} ms; by tenths " + " ".join(
            f"{getattr(tenth, key) * 1000:.0f}" for tenth in tenths
        )
        bound = GROWTH_MAX if key != "push_s" else None
        found += [
            Figure(f"{key}_growth", after / before, "times", f"{label}, last tenth over first", bound, about),
            Figure(f"{key}_first", before, "s"),
            Figure(f"{key}_last", after, "s"),
        ]
    return found


def _sizes(tenths: list[Tenth]) -> list[Figure]:
    first, last = tenths[0].sizes, tenths[-1].sizes
    found = []
    for key, value in dataclasses.asdict(last).items():
        unit, before = "MB" if key.endswith("_mb") else "", getattr(first, key)
        found += [
            Figure(
                key,
                value,
                unit,
                f"{WORDS.get(key, key.replace('_', ' '))}, at the end",
                about=f"after the first tenth {shown(before, unit)}",
            ),
            Figure(f"{key}_first", before, unit),
        ]
    return found


def main() -> int:
    options = command.options(
        "long_run", "Very many landings on one repository: what grows with their number."
    )
    options.add_argument(
        "--landings",
        type=int,
        metavar="N",
        help=f"how many, at least {TENTHS} (default: {LANDINGS:,}; with --quick {QUICK_LANDINGS})",
    )
    chosen = options.parse_args()
    if chosen.landings is not None and chosen.landings < TENTHS:
        options.error(f"--landings: at least {TENTHS}, one for each tenth")
    return command.run(
        "long_run", chosen, lambda quick: measure(chosen.landings or (QUICK_LANDINGS if quick else LANDINGS))
    )


if __name__ == "__main__":
    sys.exit(main())
