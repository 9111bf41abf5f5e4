"""The command list of a git push: read, judged, written anew, and refused in words that git's user sees.
Pure.

Rule: git is given only the list written here from what was judged, never the client's bytes, so the two
cannot differ. Format: https://git-scm.com/docs/gitprotocol-pack, "Reference Update Request" and "Report
Status".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mcp_server.repos.process import ZERO

COMMANDS_MAX = 64
COMMAND_BYTES_MAX = 64 * 1024  # of the whole list; a ref's name has at most some 250 bytes
BAND_BYTES_MAX = 1000  # a side-band packet's payload: what the oldest clients take
PROGRESS, REPORT = b"\x02", b"\x01"
COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\x00-\x20\x7f]{1,512})")
SHALLOW = re.compile(rb"shallow ([0-9a-f]{40})")
# What changes how git answers. Of the rest, push options and signed pushes would bring in more of the
# client's words.
CAPABILITIES = (
    "report-status",
    "report-status-v2",
    "side-band-64k",
    "quiet",
    "atomic",
    "ofs-delta",
    "object-format=sha1",
)


class Malformed(Exception):
    """Not a command list that an honest git sends."""


@dataclass(frozen=True)
class RefCommand:
    """One ref that a push moves from `old` to `new`; ZERO where there is none."""

    ref: str
    old: str
    new: str


@dataclass(frozen=True)
class Push:
    """The begin of a push: its command list, and what was read with it."""

    commands: tuple[RefCommand, ...]
    capabilities: tuple[str, ...]
    shallow: tuple[str, ...]
    rest: bytes  # what was read beyond the list: the begin of the pack


def read(received: bytes) -> Push | None:
    """Return the list at the begin of a request's body, or None while its end has not arrived.

    Raise Malformed if it is none that an honest git sends.
    """
    packets = _packets(received)
    if packets is None:
        if len(received) > COMMAND_BYTES_MAX:
            raise Malformed("the list of refs to push is too long")
        return None
    lines, rest = packets
    shallow = [hit[1].decode() for line in lines if (hit := SHALLOW.fullmatch(line))]
    first, *others = [line for line in lines if not SHALLOW.fullmatch(line)] or [b""]
    first, _, offered = first.partition(b"\0")
    if len(others) >= COMMANDS_MAX:
        raise Malformed(f"at most {COMMANDS_MAX} refs can be pushed at once")
    commands = tuple(_command(line) for line in (first, *others) if line)
    # Git would do both, and what took place could not be told.
    if len({command.ref for command in commands}) < len(commands):
        raise Malformed("a ref is pushed twice at once")
    words = offered.decode("utf-8", "replace").split(" ")
    capabilities = tuple(word for word in CAPABILITIES if word in words)
    return Push(commands, capabilities, tuple(shallow), rest)


def write(push: Push) -> bytes:
    """Return the list as git is given it, with what follows."""
    lines = [f"shallow {oid}".encode() for oid in push.shallow]
    for number, command in enumerate(push.commands):
        end = f"\0 {' '.join(push.capabilities)}" if number == 0 else ""
        lines.append(f"{command.old} {command.new} {command.ref}{end}".encode())
    return b"".join(_packet(line) for line in lines) + b"0000" + push.rest


def reasons_against(agent: str, commands: Iterable[RefCommand]) -> dict[str, str]:
    """Return why the agent may not do what it asks, by ref; nothing for what it may."""
    own = f"refs/agents/{agent}/"
    reasons = {}
    for command in commands:
        if not command.ref.startswith(own) or command.ref == own:
            reasons[command.ref] = f"only {own}* can be pushed"
        elif command.new == ZERO:
            reasons[command.ref] = "a pushed ref is kept: it cannot be deleted"
    return reasons


def refusal(agent: str, push: Push, reasons: dict[str, str]) -> bytes | None:
    """Return the body of the answer that refuses the whole push, or None for a client that asked for no
    report.
    """
    if not {"report-status", "report-status-v2"} & set(push.capabilities):
        return None
    report = _packet(b"unpack ok\n")
    for command in push.commands:
        reason = reasons.get(command.ref, "refused with the others")
        report += _packet(f"ng {command.ref} {reason}\n".encode())
    report += b"0000"
    if "side-band-64k" not in push.capabilities:
        return report
    words = (
        "harness: nothing was pushed. main is moved by the MCP tool `push` alone, "
        "after the oracle has passed.\n"
        f"harness: upload your work with  git push origin HEAD:refs/agents/{agent}/work  "
        "and then call that tool.\n"
    )
    return _band(PROGRESS, words.encode()) + _band(REPORT, report) + b"0000"


def _packets(received: bytes) -> tuple[list[bytes], bytes] | None:
    """Return the lines before the first flush packet and what follows it, or None while it is not here."""
    lines, at = [], 0
    while (size := _size(received[at : at + 4])) != 0:
        if size is None or len(received) < at + size:
            return None
        lines.append(received[at + 4 : at + size].removesuffix(b"\n"))
        at += size
    return lines, received[at + 4 :]


def _command(line: bytes) -> RefCommand:
    fields = COMMAND.fullmatch(line)
    if fields is None:
        raise Malformed("neither a ref to update nor a shallow commit")
    try:
        return RefCommand(fields[3].decode("utf-8"), fields[1].decode(), fields[2].decode())
    except UnicodeDecodeError as wrong:
        raise Malformed("a ref's name is not UTF-8") from wrong


def _size(prefix: bytes) -> int | None:
    """Return a packet's size in bytes, or None where its prefix is not all there.

    The flush packet that ends a list has the size 0.
    """
    if len(prefix) < 4:
        return None
    if not re.fullmatch(rb"[0-9a-fA-F]{4}", prefix) or 0 < int(prefix, 16) < 4:
        raise Malformed("not packet lines")
    return int(prefix, 16)


def _packet(payload: bytes) -> bytes:
    return b"%04x" % (len(payload) + 4) + payload


def _band(band: bytes, payload: bytes) -> bytes:
    size = BAND_BYTES_MAX - 5
    return b"".join(_packet(band + payload[at : at + size]) for at in range(0, len(payload), size))
