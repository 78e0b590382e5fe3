"""Generic netlink: a family is asked for by name, and its number is read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.protocols import genetlink
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError


def test_request_names_the_family() -> None:
    """The name stands in it as a C string."""
    request = genetlink.family_request("wireguard")
    assert request[:2] == bytes([3, 2])
    assert bytes(genetlink.attributes(request)[genetlink.CTRL_ATTR_FAMILY_NAME]) == b"wireguard\0"


@given(st.integers(16, 1023))
def test_number_is_read(number: int) -> None:
    """Any family number comes back, whatever stands around it."""
    reply = genetlink.HEADER.pack(1, 2) + nl.attribute_text(2, "wireguard") + nl.attribute_u16(1, number)
    assert genetlink.family_id(reply) == number


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes, the reader returns or raises RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        genetlink.family_id(data)


def test_answer_without_a_number_is_refused() -> None:
    """An answer that does not answer raises."""
    with pytest.raises(RemoteProtocolError, match="family id"):
        genetlink.family_id(genetlink.HEADER.pack(1, 2))
