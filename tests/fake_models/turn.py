"""Owns what a scripted model decides to say to one request. Rule: pure; the dialects only render it."""

from dataclasses import dataclass

from tests.fake_models.script import Script, Step, Usage
from tests.fake_models.transcript import Asked, Invocation, NoSuchTool, called, resolved


@dataclass(frozen=True)
class Turn:
    """`main` tells a turn of the script from a side request; `id` is stable over tries."""

    id: str
    text: str
    calls: tuple[Invocation, ...]
    usage: Usage
    main: bool
    deltas: int = 2
    step: Step = Step()


def decide(asked: Asked, script: Script) -> Turn:
    """A missing tool becomes words, so that it is read in the client's output."""
    if not is_main(asked, script):
        return Turn("fake_side", script.side, (), script.side_usage, False)
    number = asked.step
    step = script.step(number)
    try:
        calls = tuple(resolved(asked, step.calls))
    except NoSuchTool as missing:
        return Turn(f"fake_{number}", f"fake model: {missing}", (), step.usage, True, step=step)
    searching = bool(calls) and calls[0].tool.kind == "search"
    return Turn(f"fake_{number}", "" if searching else step.say, calls, step.usage, True, step.deltas, step)


def is_main(asked: Asked, script: Script) -> bool:
    if script.any_turn or asked.offers("search") or asked.offers("custom"):
        return True
    return any(called(tool.name, wanted) for tool in asked.tools for wanted in script.tools)


def pieces(text: str, number: int) -> list[str]:
    """The text in so many parts, at most as many as it has characters."""
    number = max(1, min(number, len(text)))
    size, more = divmod(len(text), number)
    ends = [0]
    for index in range(number):
        ends.append(ends[-1] + size + (index < more))
    return [text[start:end] for start, end in zip(ends, ends[1:])]
