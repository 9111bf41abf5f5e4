"""What a client is sent: an answer as text and as data, within a budget of characters."""

from typing import Any

from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from mcp_server.core import budget
from mcp_server.core.refusal import Code, Refused
from mcp_server.store import Unwritable

CHARACTERS_MAX = 8_000
SPENT_CHARACTERS = 400  # of these, for what an agent near its budget reads at the end of a text

Answer = dict[str, Any] | str | Refused


def render(answer: Answer, spent: dict[str, Any] | None = None) -> CallToolResult:
    """Return the same data as text and as structure. A refusal is an error to the client, since some of them
    show models only the text of an error.

    `spent` is for an agent whose model budget is nearly used up.
    """
    if isinstance(answer, str):
        return CallToolResult(content=[TextContent(type="text", text=_text(answer, spent))])
    value = answer.to_json() if isinstance(answer, Refused) else answer
    value = budget.fit(value if spent is None else {"budget": spent, **value}, CHARACTERS_MAX)
    return CallToolResult(
        content=[TextContent(type="text", text=budget.encode(value))],
        structured_content=value,
        is_error=isinstance(answer, Refused),
    )


def _text(answer: str, spent: dict[str, Any] | None) -> str:
    if not spent:
        return answer[:CHARACTERS_MAX]
    return f"{answer[: CHARACTERS_MAX - SPENT_CHARACTERS]}\n\nBudget: {spent['note']}"


def status(answer: Answer) -> str:
    """Return the word that the log has for an answer."""
    if isinstance(answer, Refused):
        return "refused"
    return str(answer.get("status", "ok")) if isinstance(answer, dict) else "ok"


# -- refusals of what no use case has seen


def no_tool(tool: str) -> Refused:
    return Refused(
        Code.BAD_REQUEST,
        f"there is no tool {tool}",
        "nothing was done",
        "tools/list shows what there is",
    )


def wrong_arguments(tool: str, wrong: ValidationError) -> Refused:
    problems = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in wrong.errors()]
    return Refused(
        Code.BAD_REQUEST,
        f"{tool} was called wrongly: {'; '.join(problems)}",
        "nothing was done",
        "call it again as its schema says",
    )


def unavailable(wrong: Unwritable) -> Refused:
    return Refused(
        Code.UNAVAILABLE,
        str(wrong),
        "what you had before this call, you have; nothing was lost",
        "call again with the same arguments in a minute: a person has to make room",
    )
