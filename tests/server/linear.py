"""Whether a recorded history of concurrent calls could have happened one call at a time (Wing and Gong 1993,
with Lowe's memory).

Rule: pure. A call took effect at one moment between its beginning and its end; one whose answer nobody read
(a killed client) took effect at any moment after its beginning, or never. A model says what each call would
have answered, and what holds after it.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

NEVER = float("inf")


@dataclass(frozen=True)
class Call:
    """One call of a history. `began` and `ended` are ticks of one counter; an unknown answer has no end.

    `after` is the place in the history of a call that this one must follow: two steps of one request.
    """

    what: str
    args: tuple
    answer: Any
    began: float
    ended: float = NEVER
    after: int | None = None

    @property
    def is_known(self) -> bool:
        return self.ended != NEVER


# (state before, what, args) -> (state after, answer); the state is hashable and never changed in place.
Model = Callable[[Any, str, tuple], tuple[Hashable, Any]]


@dataclass(frozen=True)
class Verdict:
    """`order`: an order that explains the history, or the longest that was found; `stuck`: what could come
    next, with the model's answer.
    """

    ok: bool
    order: tuple[Call, ...]
    stuck: tuple[tuple[Call, Any], ...] = ()

    def __str__(self) -> str:
        lines = [f"{call.what}{call.args} -> {call.answer}" for call in self.order]
        return "\n".join(
            [
                *lines,
                *(
                    f"  no: {call.what}{call.args} -> {call.answer}, should be {wanted}"
                    for call, wanted in self.stuck
                ),
            ]
        )


def check(history: Sequence[Call], start: Hashable, model: Model) -> Verdict:
    """Looks for an order that the model allows, depth first; what was tried with the same rest and state is
    not tried again.
    """
    must = sum(1 << place for place, call in enumerate(history) if call.is_known)
    tried: set[tuple[int, Hashable]] = set()
    longest, stuck = (), ()
    todo: list[tuple[int, Hashable, tuple[int, ...]]] = [(0, start, ())]
    while todo:
        done, state, order = todo.pop()
        if done & must == must:
            return Verdict(True, tuple(history[place] for place in order))
        refused = []
        for place in _next(history, done):
            call = history[place]
            after, answer = model(state, call.what, call.args)
            if call.is_known and answer != call.answer:
                refused.append((call, answer))
                continue
            reached = (done | 1 << place, after)
            if reached not in tried:
                tried.add(reached)
                todo.append((*reached, (*order, place)))
        if len(order) >= len(longest) and refused:
            longest, stuck = order, tuple(refused)
    return Verdict(False, tuple(history[place] for place in longest), stuck)


def _next(history: Sequence[Call], done: int) -> list[int]:
    """Calls that may come next: not done, and begun before any other that is not done has ended."""
    left = [place for place in range(len(history)) if not done >> place & 1]
    first_end = min(history[place].ended for place in left)
    return [place for place in left if history[place].began < first_end and _is_due(history[place], done)]


def _is_due(call: Call, done: int) -> bool:
    return call.after is None or bool(done >> call.after & 1)
