"""A connection that waits: through the event loop or a moment without it, until a time is over or it is closed."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerway.backends.uapisocket import UapiSocket


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "wg0.sock"))
        made.listen(0)
        yield made


async def pair(listener: socket.socket, patience: float = 20) -> tuple[UapiSocket, socket.socket]:
    """Both ends of a connection."""
    ours = UapiSocket(patience)
    await ours.connect(Path(listener.getsockname()))
    return ours, listener.accept()[0]


def read_all(theirs: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size:
        heard += theirs.recv(1 << 16)
    return heard


async def test_long_request_is_sent_whole(listener: socket.socket) -> None:
    """What does not fit into the socket's buffer waits until the other side has read."""
    ours, theirs = await pair(listener)
    data = bytes(range(256)) * 8192
    sent = ours.send_some(data)
    assert 0 < sent < len(data)
    assert ours.send_some(data) == 0
    sending = asyncio.ensure_future(ours.send(data[sent:]))
    await asyncio.sleep(0)
    assert not sending.done()
    assert await asyncio.to_thread(read_all, theirs, len(data)) == data
    await sending
    ours.close()
    theirs.close()


async def test_answers_are_received_in_each_way(listener: socket.socket) -> None:
    """At once, within a moment, or through the event loop; nothing is None, and the end is empty."""
    ours, theirs = await pair(listener)
    assert ours.receive_waiting(9) is None
    assert ours.receive_soon(9, 0.001) is None
    theirs.send(b"one")
    assert ours.receive_waiting(9) == b"one"
    theirs.send(b"two")
    assert ours.receive_soon(2, 0.001) == b"tw"
    waiting = asyncio.ensure_future(ours.receive(9))
    await asyncio.sleep(0)
    assert await waiting == b"o"
    waiting = asyncio.ensure_future(ours.receive(9))
    await asyncio.sleep(0)
    theirs.close()
    assert await waiting == b""
    assert ours.receive_soon(9, 0.001) == b""
    ours.close()


async def test_silence_is_a_timeout(listener: socket.socket) -> None:
    """Whether nothing is said or nothing is read."""
    ours, theirs = await pair(listener, 0.02)
    with pytest.raises(TimeoutError):
        await ours.receive(9)
    with pytest.raises(TimeoutError):
        await ours.send(bytes(1 << 22))
    theirs.close()
    ours.close()


async def test_full_queue_is_tried_again(listener: socket.socket) -> None:
    """A program that accepts nobody does not hang us; when it accepts again, we are connected."""
    queued = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(9)]
    assert errno.EAGAIN in [one.connect_ex(listener.getsockname()) for one in queued]
    impatient = UapiSocket(0.02)
    with pytest.raises(TimeoutError):
        await impatient.connect(Path(listener.getsockname()))
    impatient.close()
    patient = UapiSocket(20)
    connecting = asyncio.ensure_future(patient.connect(Path(listener.getsockname())))
    await asyncio.sleep(0)
    listener.accept()[0].close()
    await connecting
    patient.close()
    for one in queued:
        one.close()


async def test_closing_wakes_who_waits(listener: socket.socket) -> None:
    """Somebody who waits is told, and a descriptor that gets the same number is not touched by what is left."""
    ours, theirs = await pair(listener)
    waiting = asyncio.ensure_future(ours.receive(9))
    await asyncio.sleep(0)
    number = ours.fileno()
    ours.close()
    ours.close()
    left, right = socket.socketpair()
    assert number in (left.fileno(), right.fileno()), "the lowest number is given again"
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    loop.add_reader(number, woken.set)
    with pytest.raises(ConnectionError):
        await waiting
    with pytest.raises(ConnectionError):
        await ours.receive(9)
    (right if number == left.fileno() else left).send(b"x")
    await asyncio.wait_for(woken.wait(), 20)
    loop.remove_reader(number)
    for one in (left, right, theirs):
        one.close()
