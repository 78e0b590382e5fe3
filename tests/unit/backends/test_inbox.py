"""An inbox holds what came, back to back, and no more than fits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerway.backends.inbox import FULL, LARGEST, Inbox
from peerway.protocols.errors import RemoteProtocolError


class Waiting:
    """Datagrams that wait, as socket.recv_into gives them with MSG_TRUNC; then it would block."""

    def __init__(self, datagrams: Iterator[bytes]) -> None:
        self.datagrams = datagrams

    def recv_into(self, buffer: memoryview, size: int, flags: int) -> int:  # noqa: ARG002 - as a socket has it
        datagram = next(self.datagrams, None)
        if datagram is None:
            raise BlockingIOError
        fitting = datagram[: len(buffer)]
        buffer[: len(fitting)] = fitting
        return len(datagram)


def held(box: Inbox) -> list[bytes]:
    data, found, at = box.words.data.cast("B"), [], 0
    for size in box.sizes:
        found.append(bytes(data[at : at + size]))
        at += (size + 3) & ~3
    return found


def test_datagrams_lie_from_word_to_word() -> None:
    """Sizes of any sort are kept apart, and the next one begins at a word."""
    sent = [b"a" * size for size in (4, 5, 0, 7, 20)]
    box = Inbox()
    assert box.fill(Waiting(iter(sent)).recv_into, 0, 99)
    assert held(box) == sent


def test_it_takes_no_more_than_was_asked() -> None:
    """With a limit the rest waits, and a second filling goes on behind the first."""
    box, waiting = Inbox(), Waiting(iter([b"1234", b"5678", b"9"]))
    assert not box.fill(waiting.recv_into, 0, 1)
    assert held(box) == [b"1234"]
    assert box.fill(waiting.recv_into, 0, 99)
    assert held(box) == [b"1234", b"5678", b"9"]
    box.clear()
    assert held(box) == []


def test_a_full_inbox_still_has_room_for_the_largest() -> None:
    """It stops when it is full, before a datagram could be cut; one that is too long is refused."""
    box = Inbox()
    assert not box.fill(Waiting(iter([bytes(FULL - 4), bytes(LARGEST), b"more"])).recv_into, 0, 99)
    assert held(box) == [bytes(FULL - 4), bytes(LARGEST)]
    with pytest.raises(RemoteProtocolError):
        Inbox().fill(Waiting(iter([bytes(LARGEST + 1)])).recv_into, 0, 99)


def test_what_came_before_an_error_stays() -> None:
    """An error of the socket is the caller's, and loses nothing that was received."""

    def receive(buffer: memoryview, size: int, flags: int) -> int:
        if box.sizes:
            raise OSError(105, "")
        buffer[:4] = b"kept"
        return 4

    box = Inbox()
    with pytest.raises(OSError, match="105"):
        box.fill(receive, 0, 99)
    assert held(box) == [b"kept"]
