"""AllowedIPs as nests: what is written is read back, in runs or one by one, and flags are where they belong."""

from __future__ import annotations

import contextlib
import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.protocols import netlink as nl
from peerway.protocols import wireguard_entries as we
from peerway.protocols.errors import RemoteProtocolError
from tests.harness.wg_strategies import PREFIXES, long_columns


def nest(prefix: Prefix, order: tuple[int, ...] = (0, 1, 2)) -> bytes:
    """One entry, written attribute by attribute."""
    parts = (
        nl.attribute_u8(3, px.length(prefix)),
        nl.attribute_u16(1, px.family(prefix)),
        nl.attribute(2, px.packed(prefix)),
    )
    return nl.nested(0, *(parts[index] for index in order))


def simple(data: bytes) -> tuple[list[Prefix], list[Prefix]]:
    """The reference: attribute by attribute, by the standard library."""
    v4: list[Prefix] = []
    v6: list[Prefix] = []
    for _, value in nl.walk(data):
        found = nl.attributes(value)
        family, size = nl.u16(found[1]), len(found[2])
        assert (family, size) in ((2, 4), (10, 16))
        network = ipaddress.ip_network((bytes(found[2]), found[3][0]), strict=False)
        (v4 if family == px.AF_INET else v6).append(px.parse(str(network)))
    return v4, v6


def read(data: bytes) -> tuple[list[Prefix], list[Prefix]]:
    v4, v6 = we.read(data)
    return cl.prefixes(v4), cl.prefixes(v6)


@given(long_columns(), st.booleans())
def test_columns_are_written_as_single_entries_are(prefixes: list[Prefix], take: bool) -> None:
    """Byte by byte what attributes say, with the flag of a removal at the end of each entry."""
    flag = nl.attribute_u32(4, 1) if take else b""
    for column in cl.columns(prefixes):
        singles = [nl.nested(0, nest(prefix)[4:], flag) for prefix in cl.prefixes(column)]
        assert we.write(column, take=take) == b"".join(singles)


@given(st.lists(PREFIXES, max_size=40) | long_columns())
def test_entries_are_read_in_their_order(prefixes: list[Prefix]) -> None:
    """Both families mixed, in runs and alone."""
    data = b"".join(map(nest, prefixes))
    assert read(data) == simple(data)


@given(st.lists(st.tuples(long_columns(), st.permutations((0, 1, 2)), st.booleans()), max_size=3))
def test_layouts_may_change_in_the_middle(parts: list[tuple[list[Prefix], list[int], bool]]) -> None:
    """Runs of any layout, with host bits or attributes that a later kernel adds, are read one after the other."""
    entries = []
    for prefixes, order, longer in parts:
        for prefix in prefixes[:60]:
            entry = nest(prefix, tuple(order))
            entries.append(nl.nested(0, entry[4:], nl.attribute_u32(77, 1)) if longer else entry)
    data = b"".join(entries)
    assert read(data) == simple(data)


@given(st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_host_bits_are_cleared(bits: int, address: int) -> None:
    """In runs as in single entries."""
    entry = nl.nested(0, nl.attribute_u8(3, bits), nl.attribute_u16(1, 2), nl.attribute(2, address.to_bytes(4, "big")))
    assert read(entry * 20) == simple(entry * 20)


@given(long_columns(), st.data())
def test_damaged_entries_are_refused_or_right(prefixes: list[Prefix], data: st.DataObject) -> None:
    """A changed byte gives an error, or what the reference reads."""
    good = b"".join(map(nest, prefixes))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 : data.draw(st.integers(at + 1, len(good)))]
    with contextlib.suppress(RemoteProtocolError):
        found = read(bad)
        assert found == simple(bad)


def test_impossible_length_in_a_run_is_refused() -> None:
    """One among many is not taken for some other prefix."""
    good = nest(px.parse("10.0.0.0/8"))
    bad = nl.nested(0, nl.attribute_u8(3, 33), nl.attribute_u16(1, 2), nl.attribute(2, bytes(4)))
    assert struct.unpack_from("=H", bad) == struct.unpack_from("=H", good)
    with contextlib.suppress(RemoteProtocolError):
        read(good * 30 + bad)
        raise AssertionError("it was read")
