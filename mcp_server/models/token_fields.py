"""Owns where each vendor tells its tokens, and what they mean here.

Rule: pure, and never raises, whatever a JSON value holds. One meaning for all vendors: `input` is everything
the model read, the cached parts included; `output` everything it wrote, reasoning included. (Anthropic
reports input without cached parts, the others with them; Gemini output without thoughts.)
"""

from dataclasses import dataclass, replace
from typing import Any

from mcp_server.models.apis import Form


@dataclass(frozen=True)
class Usage:
    """`is_known`: the vendor has told tokens. `complete`: the answer came to its end. Tokens of an incomplete
    one are a lower bound.
    """

    input: int = 0
    cached_read: int = 0
    cached_write: int = 0
    output: int = 0
    reasoning: int = 0
    model: str | None = None
    is_known: bool = False
    complete: bool = False

    @property
    def tokens(self) -> int:
        return self.input + self.output


def _messages(usage: Usage, event: Any) -> Usage:
    match event:
        case {"type": "message_start", "message": dict(message)}:
            return _messages_body(usage, message)
        case {"type": "message_delta"}:  # cumulative; some providers tell the input only here
            return _with_messages_counts(usage, event.get("usage"))
        case {"type": "message_stop"}:
            return replace(usage, complete=True)
    return usage


def _messages_body(usage: Usage, message: dict[str, Any]) -> Usage:
    return _named(_with_messages_counts(usage, message.get("usage")), message.get("model"))


def _with_messages_counts(usage: Usage, counts: Any) -> Usage:
    if not isinstance(counts, dict):
        return usage
    # Cumulative, so the largest counts: some providers say 0 in one of the two places.
    plain = max(_count(counts, "input_tokens"), usage.input - usage.cached_read - usage.cached_write)
    read = max(_count(counts, "cache_read_input_tokens"), usage.cached_read)
    write = max(_count(counts, "cache_creation_input_tokens"), usage.cached_write)
    output = max(_count(counts, "output_tokens"), usage.output)
    thought = max(_count(_dict(counts, "output_tokens_details"), "thinking_tokens"), usage.reasoning)
    return replace(
        usage,
        input=plain + read + write,
        cached_read=read,
        cached_write=write,
        output=output,
        reasoning=thought,
        is_known=_all_whole(counts),
    )


def _chat(usage: Usage, chunk: Any) -> Usage:
    if not isinstance(chunk, dict):
        return usage
    choices = chunk.get("choices")
    finished = isinstance(choices, list) and any(
        isinstance(one, dict) and one.get("finish_reason") for one in choices
    )
    return replace(_chat_body(usage, chunk), complete=usage.complete or finished)


def _chat_body(usage: Usage, chunk: dict[str, Any]) -> Usage:
    usage, counts = _named(usage, chunk.get("model")), chunk.get("usage")
    if not isinstance(counts, dict):
        return usage
    prompt, completion = _dict(counts, "prompt_tokens_details"), _dict(counts, "completion_tokens_details")
    return replace(
        usage,
        input=_count(counts, "prompt_tokens"),
        cached_read=_count(prompt, "cached_tokens", _count(counts, "prompt_cache_hit_tokens")),
        cached_write=_count(prompt, "cache_write_tokens"),
        output=_count(counts, "completion_tokens"),
        reasoning=_count(completion, "reasoning_tokens"),
        is_known=_all_whole(counts),
    )


def _responses(usage: Usage, event: Any) -> Usage:
    if not isinstance(event, dict) or not isinstance(event.get("response"), dict):
        return usage
    ended = event.get("type") in ("response.completed", "response.incomplete", "response.failed")
    return replace(_responses_body(usage, event["response"]), complete=usage.complete or ended)


def _responses_body(usage: Usage, response: dict[str, Any]) -> Usage:
    usage, counts = _named(usage, response.get("model")), response.get("usage")
    if not isinstance(counts, dict):
        return usage
    read, wrote = _dict(counts, "input_tokens_details"), _dict(counts, "output_tokens_details")
    return replace(
        usage,
        input=_count(counts, "input_tokens"),
        cached_read=_count(read, "cached_tokens"),
        cached_write=_count(read, "cache_write_tokens"),
        output=_count(counts, "output_tokens"),
        reasoning=_count(wrote, "reasoning_tokens"),
        is_known=_all_whole(counts),
    )


def _generate(usage: Usage, chunk: Any) -> Usage:
    if not isinstance(chunk, dict):
        return usage
    candidates = chunk.get("candidates")
    finished = isinstance(candidates, list) and any(
        isinstance(one, dict) and one.get("finishReason") for one in candidates
    )
    blocked = bool(_dict(chunk, "promptFeedback").get("blockReason"))
    usage = replace(_named(usage, chunk.get("modelVersion")), complete=usage.complete or finished or blocked)
    counts = chunk.get("usageMetadata")
    if not isinstance(counts, dict):
        return usage
    thoughts = _count(counts, "thoughtsTokenCount", usage.reasoning)
    return replace(
        usage,
        input=_count(counts, "promptTokenCount", usage.input) + _count(counts, "toolUsePromptTokenCount"),
        cached_read=_count(counts, "cachedContentTokenCount", usage.cached_read),
        output=_count(counts, "candidatesTokenCount", max(0, usage.output - usage.reasoning)) + thoughts,
        reasoning=thoughts,
        is_known=_all_whole(counts),
    )


MARKS = {
    Form.MESSAGES: (b'"usage"', b"message_stop"),
    Form.CHAT: (b'"usage"', b'"finish_reason"', b'"model"'),
    Form.RESPONSES: (
        b'"usage"',
        b"response.created",
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
    ),
    Form.GENERATE: (b"usageMetadata", b"finishReason", b"promptFeedback"),
}
TAKE = {Form.MESSAGES: _messages, Form.CHAT: _chat, Form.RESPONSES: _responses, Form.GENERATE: _generate}
# The figures that a usage is the sum of, by the names that the vendors give them.
FIGURES = frozenset(
    {
        *("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"),
        *("prompt_tokens", "completion_tokens"),
        *("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
    }
)
BODY = {
    Form.MESSAGES: _messages_body,
    Form.CHAT: _chat_body,
    Form.RESPONSES: _responses_body,
    Form.GENERATE: _generate,
}


def _named(usage: Usage, model: Any) -> Usage:
    return replace(usage, model=model[:200]) if isinstance(model, str) and model else usage


def _count(counts: dict[str, Any], name: str, otherwise: int = 0) -> int:
    value = counts.get(name)
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
        else otherwise
    )


def _all_whole(counts: dict[str, Any]) -> bool:
    """Return True if every figure of tokens is a whole number: one that is not tells that nobody knows."""
    figures = [value for name, value in counts.items() if name in FIGURES and value is not None]
    return all(type(value) is int and 0 <= value < 1 << 53 for value in figures)


def _dict(counts: dict[str, Any], name: str) -> dict[str, Any]:
    value = counts.get(name)
    return value if isinstance(value, dict) else {}
