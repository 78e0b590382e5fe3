"""The netlink wire: what is built is read back, and bytes from anywhere are read or refused, never worse."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.protocols import netlink as nl
from peerway.protocols.errors import LocalProtocolError, RemoteProtocolError

KINDS = st.integers(0, nl.NLA_TYPE_MASK)


@given(st.lists(st.tuples(KINDS, st.binary(max_size=40))))
def test_attributes_are_read_back_as_built(pairs: list[tuple[int, bytes]]) -> None:
    """Any list of attributes, of any lengths, comes back in order."""
    data = b"".join(nl.attribute(kind, value) for kind, value in pairs)
    assert len(data) % 4 == 0
    assert [(kind, bytes(value)) for kind, value in nl.walk(data)] == pairs
    assert nl.attributes(data) == dict(pairs)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.binary())))
def test_messages_are_read_back_as_built(given_: list[tuple[int, int, int, bytes]]) -> None:
    """Any list of messages in one datagram comes back in order."""
    data = b"".join(nl.message(*one, pid=7) for one in given_)
    assert [(m.type, m.flags, m.seq, bytes(m.payload)) for m in nl.messages(data)] == given_
    assert all(m.pid == 7 for m in nl.messages(data))


def read_everything(data: bytes) -> None:
    for message in nl.messages(data):
        nl.attributes(message.payload)
        nl.acknowledgement(message.payload, message.flags)
        nl.done(message.payload, message.flags)


@given(st.binary(max_size=80) | st.builds(nl.message, st.just(2), st.integers(0, 0xFFFF), st.just(1), st.binary()))
def test_any_bytes_parse_or_raise_the_one_error(data: bytes) -> None:
    """Whatever comes, the readers return or raise RemoteProtocolError."""
    for reader in (read_everything, nl.attributes, lambda d: nl.acknowledgement(d, 0x200), lambda d: nl.done(d, 0x200)):
        try:
            reader(data)
        except RemoteProtocolError:
            continue


@pytest.mark.parametrize(
    "data",
    [b"\0", struct.pack("=HH", 3, 1), struct.pack("=HH", 9, 1) + b"1234", struct.pack("=HH", 4, 1) + b"123"],
    ids=["short", "length below 4", "beyond the end", "bytes left over"],
)
def test_malformed_attributes_are_refused(data: bytes) -> None:
    """A length that cannot be raises, and does not loop or read beyond the end."""
    with pytest.raises(RemoteProtocolError):
        nl.attributes(data)


@pytest.mark.parametrize("length", [0, 15, 18])
def test_a_message_of_an_impossible_length_is_refused(length: int) -> None:
    """A message shorter than its header, or longer than what came, raises."""
    with pytest.raises(RemoteProtocolError):
        list(nl.messages(nl.HEADER.pack(length, 16, 0, 0, 0) + b"\0"))


def test_the_kernels_words_are_found_behind_a_whole_or_a_capped_request() -> None:
    """The extended text of a refusal is found whether the request is repeated in the answer or left out."""
    request = nl.message(24, 5, 1, b"0123456789abcdef")
    words = nl.attribute(nl.NLMSGERR_ATTR_MSG, b"Invalid gateway\0") + nl.attribute_u32(nl.NLMSGERR_ATTR_OFFS, 20)
    refused = struct.pack("=i", -22)
    want = nl.Acknowledgement(22, "Invalid gateway", 20)
    assert nl.acknowledgement(refused + request + words, nl.NLM_F_ACK_TLVS) == want
    assert nl.acknowledgement(refused + request[:16] + words, nl.NLM_F_ACK_TLVS | nl.NLM_F_CAPPED) == want
    assert nl.acknowledgement(refused + request, 0) == nl.Acknowledgement(22)
    assert nl.acknowledgement(bytes(20), nl.NLM_F_CAPPED) == nl.Acknowledgement(0)


def test_the_end_of_a_dump_tells_its_error() -> None:
    """NLMSG_DONE is success when empty, zero or positive, and an error when negative."""
    assert [nl.done(value, 0).errno for value in (b"", bytes(4), struct.pack("=i", 5), struct.pack("=i", -4))] == [
        0,
        0,
        0,
        4,
    ]


def test_numbers_have_their_exact_size() -> None:
    """A number attribute of another size is refused."""
    assert [nl.u8(b"\1"), nl.u16(b"\1\1"), nl.u32(bytes(4)), nl.u64(b"\xff" * 8)] == [1, 257, 0, 2**64 - 1]
    for reader in (nl.u8, nl.u16, nl.u32, nl.u64):
        with pytest.raises(RemoteProtocolError):
            reader(b"\0\0\0")


def test_names_are_bytes_and_survive() -> None:
    """An interface name that is no UTF-8 is read and written back unchanged."""
    raw = nl.attribute(3, b"wg\xff0\0")
    name = nl.text(nl.attributes(raw)[3])
    assert nl.attribute_text(3, name) == raw


def test_an_attribute_that_is_too_long_is_our_own_mistake() -> None:
    """65,531 bytes fit, one more raises LocalProtocolError."""
    assert len(nl.attribute(1, bytes(nl.NLA_MAX_PAYLOAD))) == 65536
    with pytest.raises(LocalProtocolError):
        nl.attribute(1, bytes(nl.NLA_MAX_PAYLOAD + 1))


def test_a_nest_holds_its_children() -> None:
    """A nest is marked as such on the wire, and read by its type without the mark."""
    data = nl.nested(5, nl.attribute_u8(1, 9), nl.attribute_u16(2, 7))
    assert struct.unpack_from("=HH", data) == (len(data), 0x8005)
    assert {kind: bytes(value) for kind, value in nl.walk(nl.attributes(data)[5])} == {1: b"\x09", 2: b"\x07\0"}
