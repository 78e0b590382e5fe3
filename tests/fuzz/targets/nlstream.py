"""The messages of many datagrams, found all at once."""

from __future__ import annotations

import numpy as np

from peerway.protocols import netlink as nl
from peerway.protocols.nlstream import as_places, cut
from tests.fuzz import script
from tests.fuzz.outcome import Refused, outcome
from tests.fuzz.targets import rtdump
from tests.harness.routes import words_of


def seeds() -> list[bytes]:
    return rtdump.seeds()


def one(data: bytes) -> None:
    """
    Where messages fill their datagrams, they are found at once just as one by one; where `cut` declines, or says
    anything at all, it never raises and never makes up a message.
    """
    datagrams = [datagram for datagram in script.datagrams(data) if datagram and len(datagram) % 4 == 0]
    if not datagrams:
        return
    words, sizes = words_of(datagrams)
    blocks = cut(words, np.cumsum(sizes) >> 2)
    if blocks is None:
        return
    found = {int(place): b.message(row) for b in blocks for row, place in enumerate(as_places(b.places))}
    careful = outcome(lambda: [m for datagram in datagrams for m in nl.messages(datagram)])
    assert not isinstance(careful, Refused)
    expected = [nl.message(m.type, m.flags, m.seq, m.payload, m.pid)[: 16 + len(m.payload)] for m in careful]
    assert [found[place] for place in sorted(found)] == expected
    assert sorted(found) == list(range(len(expected)))
