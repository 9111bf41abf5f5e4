"""Owns what a connection out of a sandbox may go to: names in one spelling, and addresses that are public.

Rule: whatever can be spelled in two ways is brought to one or refused, never guessed; an address is judged by
the registries below and not by the library, whose idea of "global" changes with its version.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import idna

HOST_CHARACTERS_MAX = 253
PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
PORT_MAX = 65_535
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
# By the WHATWG rule a name whose last label is a number is an IPv4 address in one of its spellings: 127.1,
# 0x7f000001, 017700000001.
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
TEXT_CHARACTERS_MAX = 1_000  # before anything is looked at

Address = IPv4Address | IPv6Address
# The special-purpose address registries of IANA, and multicast. Of IPv6, what is public lies in 2000::/3.
PRIVATE = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
        ),
    )
)
NEVER_V4 = tuple(map(ip_network, (
    "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)))  # fmt: skip
PUBLIC_V6 = ip_network("2000::/3")
NEVER_V6 = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# Where clouds hand out credentials, though the ranges around may be somebody's own network.
METADATA = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")))


@dataclass(frozen=True, order=True)
class Destination:
    """A host in lower case, as A-labels, without a trailing dot; and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class UnfitDestination:
    """Why a text is no destination."""

    reason: str


def parse(text: str) -> Destination | UnfitDestination:
    """`text` is HOST:PORT as a person writes it or as CONNECT carries it."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return UnfitDestination("it is too long")
    if any(ord(character) <= 0x20 or 0x7F <= ord(character) <= 0xA0 for character in text):
        return UnfitDestination("it has spaces or control characters")
    if "@" in text:
        return UnfitDestination("it has user information; write HOST:PORT alone")
    if "[" in text or text.count(":") > 1:
        return UnfitDestination("addresses are not taken, only names")
    host, _, port = text.partition(":")
    if not PORT.fullmatch(port) or int(port) > PORT_MAX:
        return UnfitDestination("it needs a port from 1 to 65535, such as packages.example:443")
    found = _host(host)
    return found if isinstance(found, UnfitDestination) else Destination(found, int(port))


def _host(text: str) -> str | UnfitDestination:
    try:
        # Also brings full-width digits and other dots to ASCII, so that what follows sees what a resolver
        # would.
        mapped = idna.uts46_remap(text, std3_rules=True, transitional=False).lower()
        host = mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return UnfitDestination("the host is not a name that can be looked up")
    host = host.removesuffix(".")
    labels = host.split(".")
    if NUMBER.fullmatch(labels[-1]):
        return UnfitDestination("addresses are not taken, only names")
    if len(host) > HOST_CHARACTERS_MAX or not all(LABEL.fullmatch(label) for label in labels):
        return UnfitDestination("the host is not a name that can be looked up")
    for label in labels:
        if label.startswith("xn--") and not _is_a_label(label):
            return UnfitDestination("the host is not a name that can be looked up")
    return host


def _is_a_label(label: str) -> bool:
    try:
        return idna.encode(idna.decode(label)).decode("ascii") == label
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return False


def may_connect(address: str, *, private: bool) -> bool:
    """Whether an address that a name was resolved to may be connected to; `private`: the operator says that
    the name is in-house.
    """
    try:
        found = ip_address(address)
    except ValueError:  # with a zone, so of one link
        return False
    if found in METADATA:
        return False
    if any(found in network for network in PRIVATE if network.version == found.version):
        return private
    if isinstance(found, IPv4Address):
        return not any(found in network for network in NEVER_V4)
    return found in PUBLIC_V6 and not any(found in network for network in NEVER_V6)
