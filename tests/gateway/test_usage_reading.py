"""The counting of recorded answers, fed in pieces of any size: what is counted depends on the bytes alone."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.models.usage import Usage, UsageReader

from .recorded import ALL, COUNTED, Recorded

each = pytest.mark.parametrize("wire", ALL, ids=lambda wire: wire.name)


def split(data: bytes, places: list[int]) -> list[bytes]:
    """The data cut at these places, wherever they fall."""
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


def read(wire: Recorded, chunks: list[bytes]) -> Usage:
    reader = UsageReader(wire.call.form, content_type=wire.content_type)
    for chunk in chunks:
        reader.feed(chunk)
    reader.end()
    return reader.usage


def counts(usage: Usage) -> dict[str, int]:
    return {name: getattr(usage, name) for name in COUNTED}


@each
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_recorded_answer_is_counted_as_its_vendor_told_it(wire: Recorded, size: int):
    usage = read(wire, [wire.data[at : at + size] for at in range(0, len(wire.data), size)])
    assert counts(usage) == wire.counts
    assert (usage.is_known, usage.complete) == (wire.known, wire.complete)
    assert usage.model == wire.usage.get("model")


@each
@given(places=st.lists(st.integers(0, 1 << 16), max_size=12))
@settings(max_examples=40, deadline=None)
def test_any_chunking_counts_the_same(wire: Recorded, places: list[int]):
    assert read(wire, split(wire.data, places)) == read(wire, [wire.data])


@each
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_beginning_never_counts_more_than_the_whole_and_never_raises(wire: Recorded, data: st.DataObject):
    whole, part = read(wire, [wire.data]), wire.data[: data.draw(st.integers(0, len(wire.data)))]
    reader = UsageReader(wire.call.form, content_type=wire.content_type)
    reader.feed(part)
    reader.cut()
    found = counts(reader.usage)
    assert all(found[name] <= counts(whole)[name] for name in COUNTED), (found, whole)


@given(
    form=st.sampled_from(sorted({wire.call.form for wire in ALL})),
    chunks=st.lists(st.binary(max_size=200), max_size=8),
    sse=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_rubbish_is_counted_as_nothing_and_never_raises(form, chunks: list[bytes], sse: bool):
    for whole in (True, False):
        reader = UsageReader(form, content_type="text/event-stream" if sse else "application/json")
        for chunk in chunks:
            reader.feed(chunk)
        (reader.end if whole else reader.cut)()
        assert counts(reader.usage) == dict.fromkeys(COUNTED, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 60) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "usage",
                    "message",
                    "response",
                    "type",
                    "usageMetadata",
                    "candidates",
                    "choices",
                    "input_tokens",
                    "output_tokens",
                    "prompt_tokens",
                    "promptTokenCount",
                    "input_tokens_details",
                    "message_start",
                    "finish_reason",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    form=st.sampled_from(sorted({wire.call.form for wire in ALL})),
    value=JSON,
    kind=st.sampled_from(["message_start", "message_delta", "response.completed", "x"]),
    sse=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_vendor_that_says_something_else_in_the_known_places_never_raises(
    form, value, kind: str, sse: bool
):
    import json

    body = json.dumps(
        {
            "type": kind,
            "usage": value,
            "message": value,
            "response": value,
            "usageMetadata": value,
            "choices": value,
            "candidates": value,
        }
    ).encode()
    reader = UsageReader(form, content_type="text/event-stream" if sse else "application/json")
    reader.feed(b"data: " + body + b"\n\n" if sse else body)
    reader.end()
    assert all(isinstance(count, int) and count >= 0 for count in counts(reader.usage).values())
