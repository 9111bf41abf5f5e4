"""What crosses between server and harness: every value comes back as it was sent, is frozen, says what each of
its fields is, and what cannot be read is one sentence that names the field.
"""

import importlib
import json
import pkgutil
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mcp_server import wire
from mcp_server.wire.base import UnreadableWire, WireAnswer, WireRequest, WireValue
from mcp_server.wire.jobs import JobClaim, JobResult
from oracle.cases.spec import Case, Suite
from oracle.judging.answer import Answer
from oracle.judging.verdict import Built, CaseCounts, Verdict

EXAMPLES = 15  # of each type: most have few fields
WRONG = ("wrong", {"wrong": [1]})  # no field takes both
BASES = (WireValue, WireRequest, WireAnswer)

texts, numbers = st.text(max_size=9), st.integers(0, 2**53)
named = st.dictionaries(texts, texts, max_size=2)
STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: numbers,
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    types.NoneType: st.none(),
    Any: st.one_of(texts, numbers, st.none(), st.lists(texts, max_size=2)),
    Suite: st.builds(
        Suite, texts, texts, texts, st.lists(texts, max_size=2).map(tuple), env=named, image=texts
    ),
    bytes: st.binary(max_size=8),
    Case: st.builds(Case, texts, texts, texts, numbers, texts, st.booleans()),
    Answer: st.builds(Answer, texts, numbers),
    Verdict: st.builds(
        Verdict,
        texts,
        texts,
        st.builds(CaseCounts, numbers, numbers, numbers, numbers, numbers),
        named,
        st.lists(named, max_size=2).map(tuple),
        st.one_of(st.none(), st.builds(Built, numbers, texts)),
        numbers,
        st.one_of(st.none(), st.lists(named, max_size=2)),
    ),
}


def wire_types() -> list[type[WireValue]]:
    for module in pkgutil.iter_modules(wire.__path__):
        importlib.import_module(f"{wire.__name__}.{module.name}")
    found = [kind for kind in _below(WireValue) if kind not in BASES]
    return sorted(
        (kind for kind in found if kind.__module__.startswith(wire.__name__)), key=lambda kind: kind.__name__
    )


def _below(kind: type[WireValue]) -> Iterator[type[WireValue]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def strategy(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of the type that a field is declared with."""
    if annotation in STRATEGIES:
        return STRATEGIES[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return values(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return strategy(args[0])
    if origin in (Union, types.UnionType):
        return st.one_of(*map(strategy, args))
    if origin is tuple:
        return st.lists(strategy(args[0]), max_size=2).map(tuple)
    assert origin is Mapping, f"what is a value of {annotation}?"
    return st.dictionaries(texts, strategy(args[1]), max_size=2)


def values(kind: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: strategy(field.annotation) for name, field in kind.model_fields.items()}
    return st.fixed_dictionaries(fields).map(lambda given: kind(**given))


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_every_value_comes_back_as_it_was_sent(kind: type[WireValue], data: st.DataObject):
    value = data.draw(values(kind))
    assert kind.parse(json.dumps(value.render())) == value


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
@settings(max_examples=1, deadline=None)
@given(data=st.data())
def test_a_missing_or_ill_typed_field_is_one_sentence_that_names_it(
    kind: type[WireValue], data: st.DataObject
):
    sent = data.draw(values(kind)).render()
    for name, field in kind.model_fields.items():
        lacking = {other: value for other, value in sent.items() if other != name}
        if field.is_required():
            with pytest.raises(UnreadableWire, match=f"^this is no {kind.__name__}: {name}: field required$"):
                kind.of_json(lacking)
        else:
            kind.of_json(lacking)
        refusals = [refusal for wrong in WRONG if (refusal := refused(kind, sent | {name: wrong}))]
        assert refusals and all(f"{name}" in refusal and "\n" not in refusal for refusal in refusals), name


def refused(kind: type[WireValue], value: object) -> str | None:
    try:
        kind.of_json(value)
    except UnreadableWire as wrong:
        return str(wrong)
    return None


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        (JobClaim, {"wait_s": True}, "runner: field required; wait_s: input should be a valid"),
        (JobClaim, [], "this is no JobClaim: input should be an object"),
        (JobResult, {"runner": "r", "verdict": {}}, "verdict: field 'status' is missing"),
        (JobResult, {"runner": "r", "verdict": 7}, "verdict: an object is expected"),
        (JobResult, {"runner": "r", "verdict": {"status": 7}}, "verdict: it has a field of a wrong type"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(kind: type[WireValue], body: object, sentence: str):
    assert sentence in str(refused(kind, body))


def test_what_is_no_json_is_said_to_be_none():
    with pytest.raises(UnreadableWire, match="^this is no JobClaim: invalid JSON"):
        JobClaim.parse("{runner")


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
@settings(max_examples=1, deadline=None)
@given(data=st.data())
def test_a_request_refuses_unknown_fields_and_an_answer_leaves_them_out(
    kind: type[WireValue], data: st.DataObject
):
    value = data.draw(values(kind))
    newer = value.render() | {"of_next_year": 1}
    if issubclass(kind, WireRequest):
        assert "of_next_year" in str(refused(kind, newer))
    else:
        assert kind.of_json(newer) == value


def problems(kind: type[WireValue]) -> list[str]:
    """What the rules of the wire say against a type."""
    found = [] if (kind.__dict__.get("__doc__") or "").strip() else ["the type says nothing of itself"]
    if not kind.model_config.get("frozen") or not kind.model_config.get("strict"):
        found.append("it is not frozen and strict")
    for name, field in kind.model_fields.items():
        if not (field.description or "").rstrip().endswith("."):
            found.append(f"{name} is not described by a sentence")
        if any(changeable in str(field.annotation) for changeable in ("list[", "dict[", "set[")):
            found.append(f"{name} can be changed in place")
    return found


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
def test_every_type_is_frozen_and_says_what_each_field_is(kind: type[WireValue]):
    assert problems(kind) == []


def test_the_rules_find_what_breaks_them():
    class Loose(WireAnswer, frozen=False):
        names: list[str]

    assert problems(Loose) == [
        "the type says nothing of itself",
        "it is not frozen and strict",
        "names is not described by a sentence",
        "names can be changed in place",
    ]


def test_a_value_cannot_be_changed_and_a_changed_copy_is_checked():
    claim = JobClaim(runner="r", wait_s=1)
    with pytest.raises(ValidationError, match="frozen"):
        claim.runner = "other"
    assert claim.changed(runner="other") == JobClaim(runner="other", wait_s=1)
    with pytest.raises(ValidationError, match="valid string"):
        claim.changed(runner=7)


def test_a_field_that_nobody_set_does_not_travel():
    claim = JobClaim(runner="r")
    assert claim.render() == {"runner": "r"} and claim.changed(runner="s").render() == {"runner": "s"}
