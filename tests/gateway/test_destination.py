"""Where a connection may go: one spelling per name, no address in any spelling, and only public addresses
behind a name.
"""

import ipaddress
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.core.destination import METADATA, Destination, UnfitDestination, may_connect, parse

ONE = Destination("packages.example", 443)


@pytest.mark.parametrize(
    "text",
    [
        "packages.example:443",
        "PACKAGES.Example:443",
        "packages.example.:443",
        "packages。example:443",
        "ｐackages.example:443",
        "pack\u00adages.example:443",
    ],
)
def test_every_spelling_of_a_name_is_the_same_destination(text: str):
    assert parse(text) == ONE


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("bücher.example:443", "xn--bcher-kva.example"),
        ("BÜCHER.example.:443", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example:443", "xn--bcher-kva.example"),
        ("straße.example:443", "xn--strae-oqa.example"),
    ],
)
def test_names_of_other_scripts_become_a_labels(text: str, host: str):
    assert parse(text) == Destination(host, 443)


ADDRESSES = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "017700000001", "0177.0.0.1",
    "00000177.0.0.1", "127.0.0.1.", "1.2.3.4", "4294967295", "256.256.256.256", "0", "0x", "1.2.3.4.5", "foo.1", "foo.0x7f",
    "１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "::1", "[::1]", "[::ffff:127.0.0.1]", "::ffff:7f00:1", "[fe80::1%25eth0]",
    "fe80::1%eth0", "[::]", "0:0:0:0:0:0:0:1",
]  # fmt: skip


@pytest.mark.parametrize("host", ADDRESSES)
def test_an_address_is_refused_in_every_spelling(host: str):
    assert isinstance(parse(f"{host}:443"), UnfitDestination)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", ":443", "packages.example", "packages.example:", "packages.example:0", "packages.example:00443", "packages.example:+443", "packages.example:65536",
        "packages.example:443:443", "packages.example:４４３", "packages.example:443 ", " packages.example:443", "packages.example:443\n", "packages.example:443\r\nHost: x", "packages.example\0:443",
        "packages.example\0.evil.example:443", "packages.example\t:443", "packages.example\u00a0:443", "packages.example\u2028:443", "user@packages.example:443", "packages.example:443@evil.example:443", "user:pass@packages.example:443",
        "http://packages.example:443", "//packages.example:443", "packages.example/:443", "packages.example#:443", "packages.example?:443", "packages.example\\:443", "packages%2eexample:443", "packages..example:443",
        "packages.example..:443", ".packages.example:443", ".:443", "-packages.example:443", "packages-.example:443", "pack_ages.example:443", "*.example:443", "*:443", f"{'a' * 64}.example:443", f"{'a.' * 127}aa:443",
        "xn--.example:443", "xn--a.example:443", "xn--packages.example.example:443", "xn--ls8h.example:443", "xn--packages-.example:443", "a\u0301\u200d.example:443", "pack\u202eages.example:443", "a" * 5_000,
    ],
)  # fmt: skip
def test_what_is_not_one_name_and_one_port_is_refused(text: str):
    assert isinstance(parse(text), UnfitDestination)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user@packages.example:443", "user information"),
        ("packages.example:443\r\n", "control characters"),
        ("packages\0.example:443", "control characters"),
        ("127.0.0.1:443", "only names"),
        ("[::1]:443", "only names"),
        ("packages.example:0443", "needs a port"),
        ("a_b.example:443", "not a name"),
    ],
)
def test_a_refusal_says_why(text: str, said: str):
    found = parse(text)
    assert isinstance(found, UnfitDestination) and said in found.reason


@given(
    st.text(max_size=40)
    | st.text(alphabet=string.ascii_letters + string.digits + ".:-@[]%xX\0\r\n 。１\u00df", max_size=30)
)
@settings(max_examples=1_500, deadline=None)
def test_whatever_is_accepted_is_in_its_one_spelling_and_no_address(text: str):
    for written in (text, f"{text}:443"):
        found = parse(written)
        if isinstance(found, Destination):
            assert parse(str(found)) == found
            assert (
                found.host == found.host.lower()
                and found.host.isascii()
                and not found.host.endswith(".")
                and 1 <= found.port <= 65_535
            )
            assert set(found.host) <= set(string.ascii_lowercase + string.digits + "-.")
            with pytest.raises(ValueError, match="address"):
                ipaddress.ip_address(found.host)


@given(
    st.ip_addresses(v=4),
    st.sampled_from(
        [
            "{0}.{1}.{2}.{3}",
            "0x{0:x}.{1}.{2}.{3}",
            "0{0:o}.{1}.{2}.{3}",
            "{n}",
            "0x{n:x}",
            "0{n:o}",
            "{0}.{rest}",
            "{0}.{1}.{2}.{3}.",
        ]
    ),
)
def test_no_spelling_of_an_address_passes(address: ipaddress.IPv4Address, form: str):
    a, b, c, d = address.packed
    host = form.format(a, b, c, d, n=int(address), rest=int(address) & 0xFFFFFF)
    assert isinstance(parse(f"{host}:443"), UnfitDestination)


PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "151.101.0.223",
    "192.0.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "198.17.0.1",
    "2606:4700::1",
    "2a04:4e42::223",
    "2001:4860:4860::8888",
]
IN_HOUSE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "127.255.255.254",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fdff::1",
]
NOWHERE = [
    "169.254.169.254", "169.254.170.2", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
    "::", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
    "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254", "nonsense", "",
]  # fmt: skip


@pytest.mark.parametrize("private", [False, True])
def test_public_addresses_may_be_connected_to_and_special_ones_never(private: bool):
    assert [address for address in PUBLIC if not may_connect(address, private=private)] == []
    assert [address for address in NOWHERE if may_connect(address, private=private)] == []
    assert [address for address in IN_HOUSE if may_connect(address, private=private) is not private] == []


@given(st.ip_addresses(), st.booleans())
@settings(max_examples=1_000)
def test_nothing_that_the_library_calls_local_counts_as_public(address, private: bool):
    if (
        address.is_loopback
        or address.is_private
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    ):
        assert not may_connect(str(address), private=False)
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in METADATA:
        assert not may_connect(str(address), private=private)
