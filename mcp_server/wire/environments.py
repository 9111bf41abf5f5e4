"""Owns what an environment is on its way to whoever builds its image: its settings, and files of main."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, PlainSerializer, PlainValidator

from mcp_server.wire.base import WireAnswer, WireValue


def _content(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as wrong:
        raise ValueError("it is not base64") from wrong


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


Content = Annotated[bytes, PlainValidator(_content), PlainSerializer(_text)]


class EnvironmentFile(WireValue):
    """One file that the image is made of."""

    path: str
    """Its path below the repository's top."""
    content: Content
    """What is in it; base64 in JSON."""
    executable: bool = False
    """Whether it may be run."""


class EnvironmentOrder(WireAnswer):
    """All that the image of an environment is made of: the same order gives the same image."""

    name: str
    """The table's name in harness.toml."""
    image: str | None = None
    """The image that it starts from; ours if neither this, `dockerfile` nor `devcontainer` is set."""
    dockerfile: str | None = None
    """The path of the Dockerfile that makes the image that it starts from."""
    devcontainer: str | None = None
    """The path of the devcontainer.json that says what it starts from."""
    packages: tuple[str, ...] = ()
    """Debian packages."""
    setup: tuple[str, ...] = ()
    """Shell commands, run in this order, as root, in a directory with `files`."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Variables of all that runs on it."""
    files: tuple[EnvironmentFile, ...] = ()
    """The files of main that the environment names, in the order of their paths."""
