"""Owns how a value of the wire is read from JSON and written to it. Rule: what cannot be read is one sentence
that names the field.
"""

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

PROBLEMS_MAX = 5  # named in one sentence

Number = int | float  # on the wire a whole number stays one
NUMBER_KINDS = ("int", "float")


class UnreadableWire(ValueError):
    """JSON that is not the value it should be; the message names each wrong field."""


class WireValue(BaseModel):
    """A value inside of requests and answers: frozen, and strict as to the types of its fields.

    Units are in the names: `_ms` a time in milliseconds since 1970 or a duration, `_s` seconds, `_bytes`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Return the value that a JSON text holds; raise UnreadableWire."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UnreadableWire(_sentence(cls.__name__, error)) from error

    @classmethod
    def of_json(cls, value: object) -> Self:
        """Return the value of parsed JSON, such as a column of the database; raise UnreadableWire."""
        return cls.parse(json.dumps(value))

    def changed(self, **changes: object) -> Self:
        """Return a copy with these fields changed, checked as if it were new."""
        as_set = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**as_set, **changes})

    def render(self) -> dict[str, Any]:
        """Return the JSON object of this value, without the fields that nobody set."""
        return self.model_dump(mode="json", exclude_unset=True)


class WireRequest(WireValue):
    """What the server receives: a field that it does not know is an error of the sender."""

    model_config = ConfigDict(extra="forbid")


class WireAnswer(WireValue):
    """What the harness receives: fields that a newer server adds are left out."""


def _sentence(name: str, error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    messages = {_field(problem["loc"]): problem["msg"] for problem in problems}
    sentences = [_problem(field, message) for field, message in messages.items()]
    more = len(sentences) - PROBLEMS_MAX
    rest = [f"and {more} more"] if more > 0 else []
    return f"this is no {name}: {'; '.join(sentences[:PROBLEMS_MAX] + rest)}"


def _field(place: tuple[int | str, ...]) -> str:
    """Return the path of a field; pydantic tells of each kind of number apart."""
    return ".".join(str(part) for part in place if part not in NUMBER_KINDS)


def _problem(field: str, message: str) -> str:
    message = message.removeprefix("Value error, ")
    words = message[:1].lower() + message[1:]
    return f"{field}: {words}" if field else words
