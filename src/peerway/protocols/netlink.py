"""The netlink wire: message headers, attributes, acknowledgements (netlink(7), linux/netlink.h).

All numbers are in host byte order unless an attribute says otherwise. Each reader takes bytes or a memoryview and
either parses them or raises RemoteProtocolError; nothing else. Slices of a memoryview copy nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal, NamedTuple

from peerway.protocols.errors import LocalProtocolError, RemoteProtocolError

Buffer = bytes | memoryview

# Types below 16 are the same in each protocol.
NLMSG_NOOP: Final = 1
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLMSG_OVERRUN: Final = 4
NLMSG_MIN_TYPE: Final = 16

NLM_F_REQUEST: Final = 0x1
NLM_F_MULTI: Final = 0x2
NLM_F_ACK: Final = 0x4
NLM_F_ECHO: Final = 0x8
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_DUMP_FILTERED: Final = 0x20
NLM_F_DUMP: Final = 0x300  # of a GET: ROOT | MATCH
NLM_F_REPLACE: Final = 0x100  # of a NEW, and of its notification
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLM_F_CAPPED: Final = 0x100  # of an acknowledgement: the request is not repeated
NLM_F_ACK_TLVS: Final = 0x200

NLA_F_NESTED: Final = 0x8000
NLA_TYPE_MASK: Final = 0x3FFF
NLA_MAX_PAYLOAD: Final = 0xFFFF - 4

NLMSGERR_ATTR_MSG: Final = 1
NLMSGERR_ATTR_OFFS: Final = 2

HEADER: Final = Struct("=IHHII")  # length, type, flags, sequence number, port id
START: Final = Struct("=IHH")  # the header's length, type and flags
ATTRIBUTE: Final = Struct("=HH")  # length, type
_ERROR: Final = Struct("=i")
ORDER: Final[Literal["little", "big"]] = sys.byteorder
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


class Message(NamedTuple):
    """
    One netlink message.
    """

    type: int
    flags: int
    seq: int
    pid: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """
    What NLMSG_ERROR or NLMSG_DONE says: `errno` 0 is success; `text` and `offset` (into the request, 0 = not said)
    are the kernel's extended words.
    """

    errno: int
    text: str = ""
    offset: int = 0


def aligned(length: int) -> int:
    """
    The next multiple of four (NLMSG_ALIGN, NLA_ALIGN).
    """
    return (length + 3) & ~3


def messages(data: Buffer) -> Iterator[Message]:
    """
    The messages of one datagram, in order.
    """
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        if end - at < HEADER.size:
            raise RemoteProtocolError(f"netlink: {end - at} bytes are too few for a message header")
        length, kind, flags, seq, pid = HEADER.unpack_from(view, at)
        if not HEADER.size <= length <= end - at:
            raise RemoteProtocolError(f"netlink: a message of {length} bytes in a rest of {end - at}")
        yield Message(kind, flags, seq, pid, view[at + HEADER.size : at + length])
        at += aligned(length)


def walk(data: Buffer) -> Iterator[tuple[int, memoryview]]:
    """
    The attributes of a payload or of a nest, in order: type without its flag bits, and value.
    """
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        if end - at < 4:
            raise RemoteProtocolError(f"netlink: {end - at} bytes are too few for an attribute")
        length, kind = ATTRIBUTE.unpack_from(view, at)
        if not 4 <= length <= end - at:
            raise RemoteProtocolError(f"netlink: an attribute of {length} bytes in a rest of {end - at}")
        yield kind & NLA_TYPE_MASK, view[at + 4 : at + length]
        at += (length + 3) & ~3


def attributes(data: Buffer) -> dict[int, memoryview]:
    """
    The attributes by type; of a type that comes twice the last one counts, as in the kernel.
    """
    return dict(walk(data))


def number(value: Buffer, size: int) -> int:
    """
    An unsigned number of exactly `size` bytes, in host byte order.
    """
    if len(value) != size:
        raise RemoteProtocolError(f"netlink: a number of {size} bytes has {len(value)}")
    return int.from_bytes(value, ORDER)


def u8(value: Buffer) -> int:
    """One byte."""
    return number(value, 1)


def u16(value: Buffer) -> int:
    """Two bytes."""
    return number(value, 2)


def u32(value: Buffer) -> int:
    """Four bytes."""
    return number(value, 4)


def u64(value: Buffer) -> int:
    """Eight bytes."""
    return number(value, 8)


def text(value: Buffer) -> str:
    """
    A string that ends at its first NUL, or without one; what is not UTF-8 is kept as surrogates (names are bytes).
    """
    return bytes(value).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def acknowledgement(payload: Buffer, flags: int) -> Acknowledgement:
    """
    Read the payload of NLMSG_ERROR: the error, the request's header or all of it, and with NLM_F_ACK_TLVS the
    extended words.
    """
    view = memoryview(payload)
    if len(view) < _ERROR.size + HEADER.size:
        raise RemoteProtocolError(f"netlink: an acknowledgement has {len(view)} bytes")
    request = HEADER.size if flags & NLM_F_CAPPED else aligned(u32(view[4:8]))
    return _extended(view, _ERROR.size + request, flags)


def error_number(payload: Buffer) -> int:
    """
    The error of NLMSG_ERROR alone, 0 for success.
    """
    if len(payload) < _ERROR.size:
        raise RemoteProtocolError(f"netlink: an acknowledgement has {len(payload)} bytes")
    return -int(_ERROR.unpack_from(payload)[0])


def done(payload: Buffer, flags: int) -> Acknowledgement:
    """
    Read the payload of NLMSG_DONE: the error that ended the dump (old kernels may leave it out), and its words.
    """
    view = memoryview(payload)
    if not view:
        return Acknowledgement(0)
    if len(view) < _ERROR.size:
        raise RemoteProtocolError(f"netlink: the end of a dump has {len(view)} bytes")
    return _extended(view, _ERROR.size, flags)


def _extended(view: memoryview, at: int, flags: int) -> Acknowledgement:
    error: int = _ERROR.unpack_from(view)[0]
    found = attributes(view[at:]) if flags & NLM_F_ACK_TLVS else {}
    # A dump may end with a positive number (bytes of the last part); only a negative one is an error.
    return Acknowledgement(
        max(-error, 0),
        text(found[NLMSGERR_ATTR_MSG]) if NLMSGERR_ATTR_MSG in found else "",
        u32(found[NLMSGERR_ATTR_OFFS]) if NLMSGERR_ATTR_OFFS in found else 0,
    )


def attribute(kind: int, value: Buffer = b"") -> bytes:
    """
    Build one attribute, padded. Raises LocalProtocolError if the value is longer than 65,531 bytes.
    """
    length = len(value)
    if length > NLA_MAX_PAYLOAD:
        raise LocalProtocolError(f"netlink: {length} bytes do not fit in an attribute")
    return b"".join((ATTRIBUTE.pack(length + 4, kind), value, _PADDING[length & 3]))


def nested(kind: int, *children: bytes) -> bytes:
    """
    Build an attribute that holds attributes.
    """
    return attribute(kind | NLA_F_NESTED, b"".join(children))


def attribute_u8(kind: int, value: int) -> bytes:
    """Build an attribute of one byte."""
    return attribute(kind, value.to_bytes(1, ORDER))


def attribute_u16(kind: int, value: int) -> bytes:
    """Build an attribute of two bytes."""
    return attribute(kind, value.to_bytes(2, ORDER))


def attribute_u32(kind: int, value: int) -> bytes:
    """Build an attribute of four bytes."""
    return attribute(kind, value.to_bytes(4, ORDER))


def attribute_text(kind: int, value: str) -> bytes:
    """Build an attribute of a string with its NUL."""
    return attribute(kind, value.encode("utf-8", "surrogateescape") + b"\0")


def message(kind: int, flags: int, seq: int, payload: Buffer = b"", pid: int = 0) -> bytes:
    """
    Build one message, padded.
    """
    length = HEADER.size + len(payload)
    return b"".join((HEADER.pack(length, kind, flags, seq, pid), payload, _PADDING[length & 3]))
