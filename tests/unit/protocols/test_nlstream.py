"""The messages of a stream are found at once where a walk finds them one by one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.protocols import netlink as nl
from peerway.protocols import nlstream
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.nlstream import as_places, cut
from tests.harness.routes import words_of


def walked(datagrams: list[bytes]) -> list[bytes] | None:
    """The messages, one by one; None where a datagram is not filled with them exactly."""
    found = []
    for datagram in datagrams:
        try:
            found += [nl.message(m.type, m.flags, m.seq, m.payload, m.pid) for m in nl.messages(datagram)]
        except RemoteProtocolError:
            return None
    return found


def at_once(datagrams: list[bytes]) -> list[bytes] | None:
    words, sizes = words_of(datagrams)
    blocks = cut(words, np.cumsum(sizes) >> 2)
    if blocks is None:
        return None
    found: dict[int, bytes] = {}
    for block in blocks:
        for row, place in enumerate(as_places(block.places).tolist()):
            message = block.message(row)
            assert (len(message), message[4:6]) == (block.length, int(block.kinds[row]).to_bytes(2, nl.ORDER))
            found[place] = message + bytes(-len(message) % 4)
    return [found[place] for place in range(len(found))]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Datagrams of messages of few lengths, in runs or by turns, mostly with one header."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
    longest = draw(st.sampled_from([1, 3, 300]))
    rare = draw(st.sampled_from([0, 0.02]))
    messages: list[bytes] = []
    while len(messages) < draw(st.sampled_from([1, 40, 400])):
        size, kind = dice.choice(lengths) * 4, 3 if dice.random() < rare else 24
        for _ in range(dice.randint(1, longest)):
            payload = bytes(size) if dice.random() < 0.5 else nl.HEADER.pack(20, 24, 2, 1, 0)[:size]
            messages.append(nl.message(kind, 2, 1, payload))
    cuts = sorted(dice.sample(range(1, len(messages)), min(len(messages) - 1, 5)))
    return [b"".join(messages[a:b]) for a, b in zip([0, *cuts], [*cuts, len(messages)], strict=True)]


@given(streams())
def test_each_message_is_found_in_its_place(datagrams: list[bytes]) -> None:
    """Whatever lengths follow each other, and whatever looks like a header within a payload."""
    assert at_once(datagrams) == walked(datagrams)


@given(streams(), st.integers(0, 2**32))
def test_what_does_not_fill_its_datagram_is_seen(datagrams: list[bytes], seed: int) -> None:
    """A length that is wrong, or an end within a message, is never cut as if it were right."""
    dice = random.Random(seed)
    joined = b"".join(datagrams)
    at = dice.randrange(0, len(joined), 4)
    moved = [joined[:at], joined[at:]] if at else [joined]
    bad = bytearray(joined)
    bad[at : at + 4] = (dice.choice([0, 15, 16, 24, len(bad), 1 << 31])).to_bytes(4, nl.ORDER)
    for stream in (moved, [bytes(bad)]):
        assert at_once(stream) == walked(stream)


@pytest.mark.parametrize("way", ["_by_headers", "_side_by_side"])
def test_both_ways_through_a_mixed_stream_agree(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of two lengths by turns are found by their headers, and without them too."""
    datagrams = [b"".join(nl.message(24, 2, 1, bytes(at % 2 * 8)) for at in range(80))] * 3
    if way == "_side_by_side":
        monkeypatch.setattr(nlstream, "_by_headers", lambda *_: None)
    else:
        monkeypatch.setattr(nlstream, "_side_by_side", lambda *_: None)
    assert at_once(datagrams) == walked(datagrams)
    joined = b"".join(datagrams)
    assert at_once([joined[:1004], joined[1004:]]) == walked([joined[:1004], joined[1004:]]) is None
