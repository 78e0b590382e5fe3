"""The event loop's selector, with real sockets: the engine's news before guests, and one guest at a time."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from peerway.loop import MOMENT, Selector

Pair = tuple[socket.socket, socket.socket]
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    made = [socket.socketpair() for _ in range(20)]
    yield made
    for ends in made:
        for end in ends:
            end.close()


@pytest.fixture
def selector() -> Iterator[Selector]:
    with Selector() as made:
        yield made


@pytest.fixture
def crowd(selector: Selector, pairs: list[Pair]) -> list[int]:
    """Guests who have all asked, and are not answered yet."""
    for ours, theirs in pairs:
        selector.guest(ours.fileno())
        selector.register(ours, READ)
        theirs.send(b"x")
    return [ours.fileno() for ours, _ in pairs]


def looked(selector: Selector, timeout: float = 1.0) -> list[int]:
    return [key.fd for key, _ in selector.select(timeout)]


def test_guests_have_their_turns_one_by_one(selector: Selector, crowd: list[int]) -> None:
    """Each look lets one guest in, and those who go on asking keep nobody from their turn."""
    turns = [looked(selector) for _ in range(3 * len(crowd))]
    assert {len(turn) for turn in turns} == {1}
    assert Counter(fd for (fd,) in turns) == dict.fromkeys(crowd, 3)


def test_news_come_beside_guests_at_once(selector: Selector, crowd: list[int]) -> None:
    """However many guests wait, what is no guest is told in the next look, and the engine's news before it ends."""
    told = []
    reader, writer = os.pipe()
    selector.first, selector.tell = reader, lambda: told.append(True)
    selector.register(reader, READ)
    assert not told
    os.write(writer, b"x")
    found = looked(selector)
    assert told
    assert reader in found
    assert len(found) == 2
    for end in (reader, writer):
        os.close(end)


def test_guests_wait_while_a_change_is_on_its_way(selector: Selector, crowd: list[int]) -> None:
    """A busy loop looks for others only, without spinning, and lets a guest in after a moment."""
    assert len(looked(selector)) == 1
    selector.busy = True
    begin = time.monotonic()
    empty = 0
    while not (found := looked(selector)):
        empty += 1
    assert len(found) == 1
    assert time.monotonic() - begin > MOMENT / 2
    assert empty <= 3


def test_guests_come_in_when_the_change_is_done(selector: Selector, crowd: list[int]) -> None:
    """After the change nobody waits for the moment to pass."""
    looked(selector)
    selector.busy = True
    looked(selector, 0)
    selector.busy = False
    assert len(looked(selector, 0)) == 1


def test_a_guest_that_is_written_to_is_still_a_guest(selector: Selector, pairs: list[Pair]) -> None:
    """Other events at a guest's socket, or it registered again, make it no other."""
    for ours, _ in pairs:
        selector.guest(ours.fileno())
        selector.register(ours, READ)
        assert selector.modify(ours, READ | WRITE, "data").data == "data"
    for ours, _ in pairs[:10]:
        selector.unregister(ours)
        selector.register(ours, WRITE)
    assert len(looked(selector)) == 1
    assert {fd for _ in pairs for fd in looked(selector)} == {ours.fileno() for ours, _ in pairs}


def test_guests_who_left_are_not_told(selector: Selector, crowd: list[int], pairs: list[Pair]) -> None:
    """What is unregistered, before or after it is closed, is not looked at."""
    for ours, _ in pairs[:10]:
        selector.unregister(ours)
    for ours, _ in pairs[10:]:
        number = ours.fileno()
        ours.close()
        selector.unregister(number)
    assert looked(selector, 0) == []
    assert not selector.get_map()


def test_another_file_with_a_guests_number_is_no_guest(selector: Selector, pairs: list[Pair]) -> None:
    """Numbers are used again: what is opened after a guest left is told at once, beside guests."""
    (former, _), (ours, theirs), (other, writer) = pairs[:3]
    selector.guest(former.fileno())
    selector.guest(ours.fileno())
    selector.register(former, READ)
    selector.register(ours, READ)
    selector.unregister(former)
    os.dup2(other.fileno(), former.fileno())
    selector.register(former, READ)
    writer.send(b"x")
    theirs.send(b"x")
    assert sorted(looked(selector)) == sorted([former.fileno(), ours.fileno()])
