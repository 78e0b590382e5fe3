"""Prefixes as ints: everything that they say is what the standard library says of the same prefix."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from tests.harness.wg_strategies import PREFIXES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(prefix: Prefix) -> Network:
    """The same prefix, by the standard library."""
    return ipaddress.ip_network(px.text(prefix))


@st.composite
def relatives(draw: st.DrawFn) -> tuple[Prefix, Prefix]:
    """Two prefixes, often one in the other."""
    one = draw(PREFIXES)
    other = draw(st.just(one) | PREFIXES)
    return px.supernet(one, draw(st.integers(0, px.length(one)))), other


@given(PREFIXES)
def test_text_and_back(prefix: Prefix) -> None:
    """A prefix is read from its text, strictly too, and from its parts, as what it was."""
    assert px.parse(px.text(prefix)) == px.parse(px.text(prefix), strict=True) == prefix
    assert px.make(px.family(prefix), px.packed(prefix), px.length(prefix)) == prefix


@given(PREFIXES)
def test_the_parts_are_those_of_the_standard_library(prefix: Prefix) -> None:
    """Text, bytes, number, length and family are what ipaddress makes of them."""
    same = network(prefix)
    assert px.text(prefix) == str(same)
    assert px.address_text(prefix) == str(same.network_address)
    assert px.packed(prefix) == same.network_address.packed
    assert px.number(prefix) == int(same.network_address)
    assert px.length(prefix) == same.prefixlen
    assert px.bits(prefix) == same.max_prefixlen
    assert px.family(prefix) == (AF_INET if same.version == 4 else AF_INET6)


@given(PREFIXES)
def test_hosts_defaults_and_link_local_ones_are_known(prefix: Prefix) -> None:
    """A host has full length, a default has none, and link-local is what lies in fe80::/10."""
    same = network(prefix)
    assert px.is_host(prefix) == (same.prefixlen == same.max_prefixlen)
    assert px.is_default(prefix) == (same.prefixlen == 0)
    inside = isinstance(same, ipaddress.IPv6Network) and same.subnet_of(ipaddress.IPv6Network("fe80::/10"))
    assert px.is_link_local(prefix) == inside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fe80::1", True),
        ("febf::/16", True),
        ("fe80::/10", True),
        ("fe80::/9", False),
        ("fec0::1", False),
        ("169.254.0.1", False),
        ("::/0", False),
    ],
)
def test_link_local_at_its_edges(text: str, expected: bool) -> None:
    """The edges of fe80::/10: what is wider, beyond, or IPv4 is not in it."""
    assert px.is_link_local(px.parse(text)) is expected


@given(relatives())
def test_containment_is_that_of_the_standard_library(pair: tuple[Prefix, Prefix]) -> None:
    """One prefix contains another exactly if ipaddress calls it a supernet."""
    outer, inner = pair
    one, other = network(outer), network(inner)
    expected = (
        one.supernet_of(other)
        if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network)
        else one.supernet_of(other)
        if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network)
        else False
    )
    assert px.contains(outer, inner) is expected


@given(PREFIXES, st.data())
def test_supernets_are_those_of_the_standard_library(prefix: Prefix, data: st.DataObject) -> None:
    """The supernet of each length is what ipaddress says, and contains the prefix."""
    length = data.draw(st.integers(0, px.length(prefix)))
    wider = px.supernet(prefix, length)
    assert network(wider) == network(prefix).supernet(new_prefix=length)
    assert px.contains(wider, prefix)


@given(st.lists(PREFIXES, max_size=8))
def test_ints_sort_as_prefixes_do(prefixes: list[Prefix]) -> None:
    """Sorting gives IPv4 before IPv6, by address, shorter before longer."""

    def place(prefix: Prefix) -> tuple[int, int, int]:
        return network(prefix).version, int(network(prefix).network_address), network(prefix).prefixlen

    assert sorted(prefixes) == sorted(prefixes, key=place)


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.data())
def test_host_bits_are_cleared_or_refused(address: bytes, data: st.DataObject) -> None:
    """Reading clears host bits; strict reading refuses them and names the prefix to write."""
    bits = len(address) * 8
    length = data.draw(st.integers(0, bits))
    text = f"{ipaddress.ip_address(address)}/{length}"
    expected = ipaddress.ip_network(text, strict=False)
    assert px.text(px.parse(text)) == str(expected)
    if int(expected.network_address) == int.from_bytes(address, "big"):
        assert px.parse(text, strict=True) == px.parse(text)
    else:
        with pytest.raises(ValueError, match=rf"has host bits set; write {expected}$"):
            px.parse(text, strict=True)


@given(st.ip_addresses())
def test_an_address_is_its_host_length_prefix(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Addresses are read as /32 or /128, with or without a length, and are hosts."""
    expected = px.host(AF_INET if address.version == 4 else AF_INET6, address.packed)
    assert px.parse_address(str(address)) == px.parse(str(address)) == px.parse(f"{address}/{address.max_prefixlen}")
    assert px.parse_address(str(address)) == expected
    assert px.is_host(expected)
    assert px.address_text(expected) == str(address)


def test_short_addresses_are_padded() -> None:
    """Netlink may leave the zero bytes at the end of an address away."""
    assert px.make(AF_INET, b"\x0a", 8) == px.parse("10.0.0.0/8")
    assert px.make(AF_INET6, b"\xfe\x80", 10) == px.parse("fe80::/10")


def test_default_is_the_word_of_ip() -> None:
    """`default` is 0.0.0.0/0, as ip(8) has it without -6."""
    assert px.parse("default") == px.DEFAULT_V4 == px.parse("0.0.0.0/0")
    assert px.parse("::/0") == px.DEFAULT_V6


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    """Whatever is typed is a prefix or a ValueError that repeats it."""
    for read in (px.parse, px.parse_address):
        told = repr(text)
        try:
            read(text)
        except ValueError as error:
            told = str(error)
        assert repr(text) in told


def test_an_address_has_no_length() -> None:
    """Where an address is asked for, a prefix is refused."""
    with pytest.raises(ValueError, match="is not an IPv4 or IPv6 address"):
        px.parse_address("10.0.0.0/8")
