"""Netlink's wire: messages, attributes, acknowledgements."""

from __future__ import annotations

from peerway.protocols import netlink as nl
from tests.fuzz.outcome import Refused, outcome

ACKNOWLEDGEMENT = nl.message(2, 0x200, 1, b"\xea\xff\xff\xff" + bytes(16) + nl.attribute_text(1, "no") + bytes(0))


def seeds() -> list[bytes]:
    return [ACKNOWLEDGEMENT, nl.message(3, 2, 1, bytes(4)), nl.message(24, 2, 7, nl.nested(9, nl.attribute_u32(4, 1)))]


def one(data: bytes) -> None:
    """
    Any bytes are messages, or a RemoteProtocolError; so are attributes, ends and acknowledgements. What was read and is
    written again is read as the same.
    """
    found = outcome(lambda: list(nl.messages(data)))
    for message in [] if isinstance(found, Refused) else found:
        again = nl.message(message.type, message.flags, message.seq, message.payload, message.pid)
        assert list(nl.messages(again)) == [message]
        outcome(lambda: nl.acknowledgement(message.payload, message.flags))  # noqa: B023 - called at once
        outcome(lambda: nl.done(message.payload, message.flags))  # noqa: B023 - called at once
        outcome(lambda: nl.error_number(message.payload))  # noqa: B023 - called at once
    walked = outcome(lambda: list(nl.walk(data)))
    for kind, value in [] if isinstance(walked, Refused) else walked:
        assert list(nl.walk(nl.attribute(kind, value))) == [(kind, value)]
        assert nl.text(value).encode("utf-8", "surrogateescape") == bytes(value).split(b"\0", 1)[0]
    for read in (nl.u8, nl.u16, nl.u32, nl.u64):
        outcome(lambda: read(data))  # noqa: B023 - called at once
