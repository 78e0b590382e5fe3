"""Which unix sockets listen, as the kernel tells."""

from __future__ import annotations

from peerway.protocols import netlink as nl
from peerway.protocols.sockdiag import listener
from tests.fuzz.outcome import outcome


def seeds() -> list[bytes]:
    answer = bytes([1, 1, 10, 0]) + bytes(12)
    file = nl.attribute(0, b"/var/run/wireguard/wg0.sock") + nl.attribute(1, bytes(8))
    return [answer, answer + file, answer + nl.attribute(0, b"\0abstract")]


def one(data: bytes) -> None:
    """
    Any bytes are a listener, none, or a RemoteProtocolError.
    """
    outcome(lambda: listener(data))
