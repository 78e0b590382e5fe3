"""The tap: a naive interpreter runs the filter, and what it lets through is read."""

from __future__ import annotations

import contextlib
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model.keys import PublicKey, Secret
from peerway.model.prefix import parse as prefix
from peerway.model.setup import DeviceConfig
from peerway.protocols import genetlink, nlmon, wireguard, wireguard_set
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from tests.harness.columns import groups

FAMILY = 36
MARK = 0xA1B2C3D4
KEY = PublicKey(bytes([17] * 32))


def passed(frame: bytes, protocol: int = 16, family: int = FAMILY) -> bytes:
    """What the filter lets through of a frame."""
    count, program = nlmon.bpf(family, MARK)
    instructions = list(struct.iter_unpack("=HBBI", program))
    assert len(instructions) == count
    accumulator = at = 0
    while True:
        code, if_true, if_false, k = instructions[at]
        at += 1
        match code:
            case 0x20 if k == 0xFFFFF000:
                accumulator = protocol
            case 0x20 | 0x28 | 0x30:
                size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
                if k + size > len(frame):
                    return b""
                accumulator = int.from_bytes(frame[k : k + size], "big")
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x04:
                accumulator += k
            case 0x06:
                return frame[:k]
            case 0x16:
                return frame[:accumulator]
            case _:
                raise AssertionError(code)


def set_request(*attributes: bytes, flags: int = nl.NLM_F_ACK, seq: int = 7, pid: int = 9) -> bytes:
    payload = genetlink.HEADER.pack(1, 1) + b"".join(attributes)
    return nl.message(FAMILY, nl.NLM_F_REQUEST | flags, seq, payload, pid)


def acknowledgement(request: bytes, errno: int = 0, port: int = 4242, *, whole: bool = False) -> bytes:
    payload = struct.pack("=i", -errno) + (request if whole else request[:16])
    return nl.message(nl.NLMSG_ERROR, 0, 7, payload, port)


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(0, MARK - 1), st.booleans())
def test_request_by_index_is_read(ifindex: int, seq: int, pid: int, acknowledged: bool) -> None:
    """A request that names its device by index first, as ours do."""
    flags = nl.NLM_F_ACK if acknowledged else 0
    frame = set_request(nl.attribute_u32(1, ifindex), nl.nested(8, bytes(5000)), flags=flags, seq=seq, pid=pid)
    assert nlmon.parse(passed(frame)) == nlmon.SetRequest(pid, seq, ifindex, acknowledged)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15))
def test_request_by_name_is_read(name: str) -> None:
    """A request that names its device by name first, as wg(8) does."""
    frame = set_request(nl.attribute_text(2, name), nl.attribute(3, b"\x5e" * 32))
    assert nlmon.parse(passed(frame)) == nlmon.SetRequest(9, 7, name, acknowledged=True)


@pytest.mark.parametrize(
    "first", [nl.attribute_u32(1, 3), nl.attribute_text(2, "w"), nl.attribute_text(2, "w" * 15), b""]
)
def test_no_key_passes_the_filter(first: bytes) -> None:
    """Wherever a key stands in the request, the filter cuts it off; then the device may be unknown."""
    frame = set_request(first, nl.attribute(3, b"\x5e" * 32), nl.attribute(3, b"\x5e" * 32))
    some = passed(frame)
    assert b"\x5e" * 8 not in some
    seen = nlmon.parse(some)
    assert isinstance(seen, nlmon.SetRequest)
    assert (seen.device is None) == (first == b"")


@given(st.integers(0, 133), st.integers(0, 2**32 - 1), st.booleans())
def test_answer_is_read(errno: int, port: int, whole: bool) -> None:
    """It carries the identity that the request had, whoever it goes to."""
    request = set_request(nl.attribute_u32(1, 3), nl.attribute(3, b"\x5e" * 32))
    some = passed(acknowledgement(request, errno, port, whole=whole))
    assert nlmon.parse(some) == nlmon.SetAnswer(pid=9, seq=7, errno=errno)
    assert b"\x5e" * 8 not in some


def test_what_bears_our_mark_stays_out() -> None:
    """Our own requests are no news, nor are the answers to them; a port that has the mark's number is another thing."""
    ours, other = (set_request(nl.attribute_u32(1, 3), pid=pid) for pid in (MARK, MARK + 1))
    assert passed(ours) == passed(acknowledgement(ours)) == b""
    assert passed(acknowledgement(ours, 22, whole=True)) == b""
    assert passed(other)
    assert passed(acknowledgement(other, port=MARK))


@pytest.mark.parametrize(
    "frame",
    [
        nl.message(FAMILY, nl.NLM_F_DUMP, 1, wireguard.get_request(3)),
        nl.message(FAMILY + 1, 0, 1, genetlink.HEADER.pack(1, 1) + nl.attribute_u32(1, 3)),
        nl.message(16, 0, 1, genetlink.family_request("wireguard")),
        acknowledgement(nl.message(16, 0, 1, bytes(20))),
        nl.message(nl.NLMSG_DONE, 0, 1, bytes(4)),
        b"",
    ],
    ids=["reading", "another family", "control", "another's answer", "end of a dump", "nothing"],
)
def test_all_else_stays_out(frame: bytes) -> None:
    """Only changes of WireGuard devices and their answers pass."""
    assert passed(frame) == b""


def test_other_kinds_of_netlink_stay_out() -> None:
    """A route message may have the same number as the family, so the protocol is looked at."""
    frame = set_request(nl.attribute_u32(1, 3))
    assert passed(frame, protocol=0) == b""
    assert passed(frame, protocol=16) != b""


def test_our_own_requests_are_seen_with_their_device() -> None:
    """What our builder writes names the device first."""
    payloads = [
        wireguard_set.give(3, groups([(prefix("10.0.0.0/8"), KEY)])),
        wireguard_set.take(3, groups([(prefix("10.0.0.0/8"), KEY)])),
        wireguard_set.discard(3, cl.columns([prefix("10.0.0.0/8")]), KEY),
        *wireguard_set.configure(3, DeviceConfig(private_key=Secret(b"\x5e" * 32))),
    ]
    for payload in payloads:
        some = passed(nl.message(FAMILY, nl.NLM_F_ACK, 1, payload))
        assert nlmon.parse(some) == nlmon.SetRequest(0, 1, 3, acknowledged=True)
        assert b"\x5e" * 8 not in some


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda rest: struct.pack("=IH", 60, 2) + rest))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes, the filter ends, and the reader returns or raises RemoteProtocolError."""
    for frame in (data, passed(data)):
        with contextlib.suppress(RemoteProtocolError):
            nlmon.parse(frame)


def test_filter_is_for_this_byte_order() -> None:
    """Headers are in host order and BPF loads big-endian, so constants are turned on a little-endian machine."""
    _, program = nlmon.bpf(0x1234, MARK)
    constants = [k for code, _, _, k in struct.iter_unpack("=HBBI", program) if code == 0x15]
    assert (0x3412 if sys.byteorder == "little" else 0x1234) in constants
