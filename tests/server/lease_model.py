"""What leases promise, as a sequential machine: one call after the other, on values. Written from the rules,
not from the code.

The clock is part of the state. Rules: fences come from one counter; two live leases never overlap; a lease
ends by time, by its holder or with its session; one with a submission in the gate does neither until the
verdict; an ended one is never revived.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

LEASE_MS = 60_000
# Task -> (module, priority). The two of a module overlap.
TASKS = {"A1": ("a", 4), "A2": ("a", 3), "B1": ("b", 2), "C1": ("c", 1)}
PENDING = ("queued", "testing", "passed", "landing")


@dataclass(frozen=True)
class Held:
    """A lease; `over` is why it ended."""

    fence: int
    task: str
    agent: str
    session: str
    expires: int
    pinned: bool = False
    over: str = ""


@dataclass(frozen=True)
class Sent:
    """A submission."""

    id: int
    fence: int
    agent: str
    commit: str
    state: str = "queued"


@dataclass(frozen=True)
class State:
    now: int
    fence: int  # the last one given
    sessions: int = 0  # how many were begun
    ended: frozenset[str] = frozenset()
    leases: tuple[Held, ...] = ()
    sent: tuple[Sent, ...] = ()
    closed: frozenset[str] = frozenset()  # tasks that are done or blocked

    def held(self, fence: int) -> Held | None:
        return next((one for one in self.leases if one.fence == fence), None)

    def live(self) -> list[Held]:
        return [one for one in self.leases if not one.over]

    def put(self, held: Held) -> "State":
        return replace(self, leases=tuple(held if one.fence == held.fence else one for one in self.leases))

    def after_expiry(self) -> "State":
        """Every call that decides on leases first ends those whose time is up, and leaves none more time than
        a renewal would give it now: the clock may have jumped back.
        """
        state = self
        for one in self.live():
            if not one.pinned and self.now >= one.expires:
                state = state.put(replace(one, over="expired"))
            else:
                state = state.put(replace(one, expires=min(one.expires, self.now + LEASE_MS)))
        return state


def step(state: State, what: str, args: tuple) -> tuple[State, object]:
    """The model that linear.check takes."""
    return STEPS[what](state, *args)


def _clock(state: State, ms: int):
    return replace(state, now=state.now + ms), None


def _expire(state: State):
    after = state.after_expiry()
    return after, len(after.live()) < len(state.live())


def _call(state: State, agent: str):
    """Any call of an agent renews what it holds."""
    state = state.after_expiry()
    for one in state.live():
        if one.agent == agent and not one.pinned:
            state = state.put(replace(one, expires=max(one.expires, state.now + LEASE_MS)))
    return state, None


def _claim(state: State, agent: str, session: str, task: str | None):
    state = state.after_expiry()
    mine = next((one for one in state.live() if one.agent == agent), None)
    if mine is not None:
        if task not in (None, mine.task):
            return state, "held"
        return state.put(replace(mine, session=session)), _leased(state, mine)
    covered = {TASKS[one.task][0] for one in state.live()}
    open_ones = {
        id for id in TASKS if id not in state.closed and id not in {one.task for one in state.live()}
    }
    if task is None:
        task = min(
            (id for id in open_ones if TASKS[id][0] not in covered),
            key=lambda id: (-TASKS[id][1], id),
            default=None,
        )
        if task is None:
            return state, "no_task"
    elif task in state.closed:
        return state, "no_task"
    elif task not in open_ones:
        return state, "held"
    elif TASKS[task][0] in covered:
        return state, "overlap"
    new = Held(state.fence + 1, task, agent, session, state.now + LEASE_MS)
    return replace(state, fence=new.fence, leases=(*state.leases, new)), _leased(state, new)


def _leased(state: State, one: Held) -> tuple:
    return "leased", one.task, one.fence, max(0, one.expires - state.now) // 1000


def _release(state: State, agent: str, fence: int, outcome: str):
    state = state.after_expiry()
    one = state.held(fence)
    if one is None or one.agent != agent:
        return state, "not_leased"
    if one.over:
        return state, ("released", one.task, one.over)
    if one.pinned:
        return state, "held"
    if outcome == "blocked":
        state = replace(state, closed=state.closed | {one.task})
    return state.put(replace(one, over=outcome)), ("released", one.task, outcome)


def _push(state: State, agent: str, fence: int, commit: str):
    state = state.after_expiry()
    one = state.held(fence)
    if one is None or one.agent != agent:
        return state, "not_leased"
    before = next((sent for sent in state.sent if (sent.fence, sent.commit) == (fence, commit)), None)
    if before is not None and (one.over or before.state != "refused"):
        return state, ("sent", before.id)
    if one.over:
        return state, "stale_fence"
    if any(sent.fence == fence and sent.state in PENDING for sent in state.sent):
        return state, "held"
    new = before if before is not None else Sent(len(state.sent) + 1, fence, agent, commit)
    others = tuple(sent for sent in state.sent if sent.id != new.id)
    state = replace(
        state, sent=tuple(sorted((*others, replace(new, state="queued")), key=lambda sent: sent.id))
    )
    return state.put(replace(one, pinned=True)), ("sent", new.id)


def _gate(state: State, id: int, reached: str):
    """One step of the gate on a submission, which took it to `reached`. What lands, lands under a lease that
    has not ended.
    """
    sent = next((sent for sent in state.sent if sent.id == id), None)
    one = state.held(sent.fence) if sent is not None else None
    if (
        sent is None
        or one is None
        or sent.state not in PENDING
        or (reached in ("landing", "landed") and one.over)
    ):
        return state, "nothing"
    state = replace(
        state, sent=tuple(replace(sent, state=reached) if other.id == id else other for other in state.sent)
    )
    if reached == "landed":
        state = replace(
            state.put(replace(one, over="landed", pinned=False)), closed=state.closed | {one.task}
        )
    elif reached == "refused" and not one.over:
        kept = replace(one, pinned=False, expires=max(one.expires, state.now + LEASE_MS))
        state = state.put(replace(kept, over="session_ended") if one.session in state.ended else kept)
    return state, reached


def _begin(state: State, _agent: str):
    return replace(state, sessions=state.sessions + 1), f"S{state.sessions + 1}"


def _end(state: State, session: str):
    """The supervisor tells that a sandbox has died."""
    state = state.after_expiry()
    if session in state.ended:
        return state, None
    state = replace(state, ended=state.ended | {session})
    for one in state.live():
        if one.session == session and not one.pinned:
            state = state.put(replace(one, over="session_ended"))
    return state, None


def _look(state: State):
    """Everything that the leases' table says."""
    return state, tuple(
        (one.fence, one.task, one.agent, one.session, one.expires, one.pinned, one.over)
        for one in state.leases
    )


STEPS: dict[str, Callable] = {
    "clock": _clock, "expire": _expire, "call": _call, "claim": _claim, "release": _release, "push": _push,
    "gate": _gate, "begin": _begin, "end": _end, "look": _look,
}  # fmt: skip
