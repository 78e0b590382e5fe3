"""What the nlmon tap shows."""

from __future__ import annotations

from peerway.protocols import genetlink, nlmon
from peerway.protocols import netlink as nl
from tests.fuzz.outcome import REFUSED, outcome


def seeds() -> list[bytes]:
    header = genetlink.HEADER.pack(1, 1)
    asked = [nl.message(28, 5, 9, header + name, 77) for name in (nl.attribute_u32(1, 7), nl.attribute_text(2, "wg0"))]
    return [*asked, nl.message(2, 0, 9, b"\xea\xff\xff\xff" + asked[0][:16], 77), nl.message(28, 5, 9, header)]


def one(data: bytes) -> None:
    """
    Any frame is a request, an answer, or a RemoteProtocolError.
    """
    found = outcome(lambda: nlmon.parse(data))
    assert found is REFUSED or isinstance(found, nlmon.SetRequest | nlmon.SetAnswer)
