"""The progress report that agents read: rendered from state, in Markdown, within a byte budget.

Rule: never over the budget; every part gets its most important rows before any part gets its less important
ones; what was left out is counted in the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.core import schedule

LINE_BYTES_MAX = 200  # one row never crowds out the others, however long a title somebody wrote
ROWS_MAX = 100  # a part longer than this is never read to its end
NAMES_MAX = 3  # cases named per failing group


@dataclass(frozen=True)
class Held:
    agent: str
    task: str
    title: str
    module: str
    expires_ms: int
    quota_until_ms: int | None = None  # it waits for its model account until then


@dataclass(frozen=True)
class Blocked:
    task: str
    title: str
    why: str


@dataclass(frozen=True)
class FailingGroup:
    suite: str
    group: str
    failing: int
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Flaky:
    """A case that counts for nothing up to and including the date `until`; `expired`: that day is over, and
    it counts again.
    """

    suite: str
    case: str
    until: str
    expired: bool


@dataclass(frozen=True)
class InGate:
    """A submission without a verdict; `waiting_for` is a phrase."""

    task: str
    agent: str
    position: int
    waiting_for: str


@dataclass(frozen=True)
class Landed:
    task: str
    title: str
    agent: str
    commit: str
    landed_ms: int


@dataclass(frozen=True)
class Reported:
    task: str
    title: str
    agent: str
    characters: int
    reported_ms: int


@dataclass(frozen=True)
class ProgressState:
    """What there is to tell. Each sequence may come in any order; `passing`, `skipped` and `cases` sum over
    all suites.

    Held-out cases are among them, and counted once more by themselves; nothing else of them is here.
    """

    run: str
    open: int = 0
    claimed: int = 0
    done: int = 0
    blocked_count: int = 0
    passing: int = 0
    skipped: int = 0
    cases: int = 0
    held_out_passing: int = 0
    held_out: int = 0
    red: Sequence[str] = ()  # a sentence for each suite that main fails though it passed
    held: Sequence[Held] = ()
    blocked: Sequence[Blocked] = ()
    failing: Sequence[FailingGroup] = ()
    flaky: Sequence[Flaky] = ()
    landed: Sequence[Landed] = ()
    in_gate: Sequence[InGate] = ()
    reported: Sequence[Reported] = ()


@dataclass(frozen=True)
class _Part:
    heading: str
    rows: list[str]
    total: int


def render(state: ProgressState, *, now_ms: int, bytes_max: int) -> str:
    """At most `bytes_max` bytes of UTF-8. A budget too small for the counts cuts even these."""
    parts = _parts(state, now_ms)
    row_counts = [0] * len(parts)
    text = _compose(state, parts, row_counts)
    if _size(text) > bytes_max:
        return _cut(text, bytes_max)
    growing = set(range(len(parts)))
    while growing:
        for index in sorted(growing):
            more = [*row_counts[:index], row_counts[index] + 1, *row_counts[index + 1 :]]
            longer = _compose(state, parts, more) if more[index] <= len(parts[index].rows) else None
            if longer is None or _size(longer) > bytes_max:
                growing.discard(index)
            else:
                row_counts, text = more, longer
    return text


def _parts(state: ProgressState, now_ms: int) -> list[_Part]:
    """Most important first: what not to touch, what just changed, what is broken, what waits for somebody."""
    held = sorted(state.held, key=lambda h: (h.task, h.agent))
    landed = sorted(state.landed, key=lambda one: (-one.landed_ms, one.task))
    failing = sorted(state.failing, key=lambda f: (-f.failing, f.suite, f.group))
    blocked = sorted(state.blocked, key=lambda b: b.task)
    reported = sorted(state.reported, key=lambda one: (-one.reported_ms, one.task))
    flaky = sorted(state.flaky, key=lambda f: (not f.expired, f.suite, f.case))
    return [
        _part("Red on main", list(state.red[:ROWS_MAX]), len(state.red)),
        _part("Held now", [_held(h, now_ms) for h in held[:ROWS_MAX]], len(held)),
        _part(
            "In the gate",
            [
                f"{one.position}. {one.task}: {one.agent}, waiting for {one.waiting_for}"
                for one in state.in_gate[:ROWS_MAX]
            ],
            len(state.in_gate),
        ),
        _part("Landed lately", [_landed(one, now_ms) for one in landed[:ROWS_MAX]], len(landed)),
        _part("Failing cases", [_failing(f) for f in failing[:ROWS_MAX]], len(failing)),
        _part("Blocked", [f"{b.task} {b.title}: {b.why}" for b in blocked[:ROWS_MAX]], len(blocked)),
        _part("Reported lately", [_reported(one, now_ms) for one in reported[:ROWS_MAX]], len(reported)),
        _part("Flaky cases", [_flaky(f) for f in flaky[:ROWS_MAX]], len(flaky)),
    ]


def _part(heading: str, rows: list[str], total: int) -> _Part:
    return _Part(heading, [_line(row) for row in rows], total)


def _compose(state: ProgressState, parts: list[_Part], row_counts: list[int]) -> str:
    lines = [_line(f"# Progress of {state.run}"), "", _counts(state)]
    for part, count in zip(parts, row_counts):
        if not part.total:
            continue
        lines += ["", f"## {part.heading} ({part.total})", *(f"- {row}" for row in part.rows[:count])]
        if count < part.total:
            lines.append(f"- ... {part.total - count} {'more ' if count else ''}not shown")
    return "\n".join(lines) + "\n"


def _counts(state: ProgressState) -> str:
    tasks = (
        f"Tasks: {state.done} done, {state.claimed} claimed, {state.open} open, {state.blocked_count}"
        " blocked."
    )
    held_out = f" (of {state.held_out} held-out ones {state.held_out_passing})" if state.held_out else ""
    skipped = f", {state.skipped} skipped" if state.skipped else ""
    return f"{tasks} Cases on main: {state.passing} of {state.cases} pass{held_out}{skipped}."


def _held(held: Held, now_ms: int) -> str:
    left = _duration(held.expires_ms - now_ms)
    if held.quota_until_ms is not None:
        left += f", waiting_for_quota until {schedule.moment(held.quota_until_ms)}"
    return f"{held.task} {held.title} (module {held.module}): {held.agent}, lease ends in {left}"


def _landed(landed: Landed, now_ms: int) -> str:
    return (
        f"{landed.task} {landed.title}: {landed.agent}, {landed.commit[:12]},"
        f" {_duration(now_ms - landed.landed_ms)} ago"
    )


def _reported(one: Reported, now_ms: int) -> str:
    return (
        f"{one.task} {one.title}: {one.agent}, {one.characters} characters,"
        f" {_duration(now_ms - one.reported_ms)} ago"
    )


def _failing(group: FailingGroup) -> str:
    named = ", ".join(group.cases[:NAMES_MAX])
    return f"{group.suite}/{group.group}: {group.failing} fail" + (f", such as {named}" if named else "")


def _flaky(flaky: Flaky) -> str:
    said = "was flaky until {}: it counts again" if flaky.expired else "counts for nothing until {}"
    return f"{flaky.suite}/{flaky.case} {said.format(flaky.until)}"


def _duration(ms: int) -> str:
    seconds = max(0, ms) // 1000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _line(text: str) -> str:
    """One line, whatever an agent put into a title: a report must not grow headings of its own."""
    return _cut(" ".join(text.split()), LINE_BYTES_MAX)


def _cut(text: str, bytes_max: int) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= bytes_max:
        return text
    mark = "..." if bytes_max >= 3 else ""
    return raw[: max(0, bytes_max - len(mark))].decode("utf-8", "ignore") + mark


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
