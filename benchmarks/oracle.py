"""`python -m benchmarks.oracle`: how fast the oracle answers, beside the barest loop over the same cases.

Rule: a real server process, a real runner, everything over HTTP; what is compared is measured in turn, in an
order that turns round.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks import bare_loop, finished_engine, machine, sql_cases
from benchmarks.command import say
from benchmarks.finished_engine import Judge, judging, suite, word_suite
from benchmarks.report import Figure
from harness.boxes.containers import Engine
from harness.failure import Exit, VerbFailed
from harness.images.stock import Images

TIMES_MAX = 1.15  # of the barest loop's time, for a first run of many cases
AGAIN_MS_MAX = 50
ONE_MS_MAX = 300
STARTS = ("process", "fork")
BARE = "bare"
CASES = "cases/sql/*.sql"
SHOUT = "tr a-z A-Z\n"


@dataclass(frozen=True)
class Size:
    """How much is measured: cases, repetitions of their first run, askings of the same tree again, rounds of
    one case, cases of the two suites.
    """

    cases: int
    repetitions: int
    again: int
    rounds: int
    small: int


FULL = Size(cases=5_000, repetitions=3, again=30, rounds=3, small=200)
QUICK = Size(cases=200, repetitions=1, again=3, rounds=1, small=20)
ONES = 10  # suites of one round, on one server


def measure(engine: Engine, run: str, quick: bool) -> list[Figure]:
    size, images = QUICK if quick else FULL, Images(engine, say=say)
    images.ensure("oracle-candidate")
    images.ensure("oracle-reference", finished_engine.REFERENCE_PACKAGES)
    many = Many(engine, images, run, size)
    many.measure()
    return [*many.figures(), *changed(engine, images, run, size), *ones(engine, images, run, size)]


@dataclass
class Many:
    """First runs of many cases in each way, and the same tree again."""

    engine: Engine
    images: Images
    run: str
    size: Size
    first_s: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in (BARE, *STARTS)})
    again_ms: list[float] = field(default_factory=list)
    loop: str = ""

    def measure(self) -> None:
        cases = dict(sql_cases.cases(self.size.cases, seed=1))
        with bare_loop.bare_loop(cases) as loop:
            self.loop = f"{loop.way}, {bare_loop.about()}"
            ways = list(self.first_s)
            for turn in range(self.size.repetitions):
                for way in ways if turn % 2 == 0 else reversed(ways):
                    took_s = loop.run() if way == BARE else self._first_run(way)
                    self.first_s[way].append(took_s)
                    say(f"{self.size.cases} cases, {way}: {took_s:.2f} s")

    def _first_run(self, start: str) -> float:
        files = {f"cases/sql/{name}": text for name, text in sql_cases.files(self.size.cases, seed=1).items()}
        with judging(self.engine, self.images, self.run, [suite("sql", CASES, start=start)], files) as judge:
            took_s = timed(judge, "sql", self.size.cases)
            for _ in range(self.size.again):
                self.again_ms.append(1000 * timed(judge, "sql", self.size.cases))
        return took_s

    def figures(self) -> list[Figure]:
        bare_s = statistics.median(self.first_s[BARE])
        made = []
        for start in STARTS:
            took_s = statistics.median(self.first_s[start])
            label = f"{self.size.cases} cases, first run, start = {start}: beside the barest loop"
            about = (
                f"oracle {took_s:.2f} s, barest loop {bare_s:.2f} s ({self.loop}); medians of"
                f" {self.size.repetitions}"
            )
            made += [
                Figure(f"first_{start}_times", took_s / bare_s, "times", label, TIMES_MAX, about),
                Figure(f"first_{start}_s", took_s, "s"),
            ]
        return [
            *made,
            Figure("first_bare_s", bare_s, "s"),
            *spread(
                "again",
                "the same tree again",
                self.again_ms,
                AGAIN_MS_MAX,
                f"asked until the verdict on {self.size.cases} cases was there",
            ),
        ]


def timed(judge: Judge, suite: str, cases: int) -> float:
    """Seconds from asking until the verdict, which must be that all passed."""
    began = time.monotonic()
    job = judge.ask(suite)
    judge.gate.let()
    verdict = judge.verdict(job)
    took_s = time.monotonic() - began
    if verdict.status != "passed" or verdict.counts.executed != cases:
        raise VerbFailed(
            f"a verdict that nobody expected: {verdict.status} {verdict.reason} {verdict.counts}",
            Exit.INFRASTRUCTURE,
        )
    return took_s


def changed(engine: Engine, images: Images, run: str, size: Size) -> list[Figure]:
    """A commit with one more changed file, read by one suite of two: which cases ran again, and how long both
    verdicts took.
    """
    say("one changed file")
    words = {f"cases/words/{number:03}.txt": f"word {number}\n" for number in range(size.small)}
    sql = {f"cases/sql/{name}": text for name, text in sql_cases.files(size.small, seed=2).items()}
    suites = [suite("sql", CASES), word_suite("words", "cases/words/*.txt")]
    with judging(
        engine,
        images,
        run,
        suites,
        sql | words | {"words/shout.sh": SHOUT},
        {"words/shout.sh": f"# louder\n{SHOUT}"},
    ) as judge:
        for name in ("sql", "words"):
            timed(judge, name, size.small)
        before = len(judge.started())
        began = time.monotonic()
        jobs = [judge.ask(name, judge.commits[0]) for name in ("sql", "words")]
        judge.gate.let(2)
        for job in jobs:
            judge.verdict(job)
        took_s = time.monotonic() - began
        ran = {
            name: sum(job["cases"] for job in judge.started()[before:] if job["suite"] == name)
            for name in ("sql", "words")
        }
    about = (
        f"both verdicts after {took_s:.2f} s; the suite that reads the file ran {ran['words']} of its"
        f" {size.small}"
    )
    return [
        Figure(
            "changed_cases",
            ran["sql"] + ran["words"],
            "",
            f"one changed file, 2 suites of {size.small}: cases run again",
            size.small,
            about,
        ),
        Figure(
            "changed_unread_cases", ran["sql"], "", "of these, cases of the suite that does not read it", 0
        ),
        Figure("changed_s", took_s, "s"),
    ]


def ones(engine: Engine, images: Images, run: str, size: Size) -> list[Figure]:
    """Suites of one case each: to the server and the boxes each is a new tree, and a case that the reference
    has not answered yet.
    """
    say("one case in a warm sandbox")
    names = [f"one{number}" for number in range(ONES + 1)]
    suites = [suite(name, f"cases/{name}/*.sql", build=False) for name in names]
    cold_ms, warm_ms = [], []
    for number in range(size.rounds):
        scripts = [script for _, script in sql_cases.cases(len(names), seed=100 + number)]
        files = {f"cases/{name}/case.sql": script for name, script in zip(names, scripts)}
        with judging(engine, images, run, suites, files) as judge:
            first, *rest = [1000 * timed(judge, name, 1) for name in names]
        cold_ms.append(first)
        warm_ms += rest
    about = (
        f"{len(warm_ms)} runs, each with a tree to place and a case new to the reference; with the start of"
        f" the boxes {min(cold_ms):.0f} ms"
    )
    return spread("one", "1 case in a warm sandbox, asked until the verdict", warm_ms, ONE_MS_MAX, about)


def spread(key: str, label: str, found_ms: Sequence[float], bound_ms: float, about: str) -> list[Figure]:
    ordered = sorted(found_ms)
    p90 = ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]
    return [
        Figure(f"{key}_p50_ms", statistics.median(ordered), "ms", f"{label}, median", bound_ms, about),
        Figure(f"{key}_p90_ms", p90, "ms", f"{label}, 90 of 100", bound_ms),
    ]


if __name__ == "__main__":
    sys.exit(machine.main("oracle", "How fast the oracle answers, beside the barest loop.", measure))
