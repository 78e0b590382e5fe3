"""What the tap tells of the frames that it reads; the link and its filter are tried on real kernels (tests/lab)."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator

import pytest
from typing_extensions import override

from peerway.backends import nlmon as module
from peerway.backends.nlmon import MAX_PENDING, NlmonTap
from peerway.backends.timerfd import Timer
from peerway.protocols import genetlink
from peerway.protocols import netlink as nl

FAMILY = 36


class Tap(NlmonTap):
    """A tap whose frames come from a socket pair, and whose losses a test decides."""

    def __init__(self) -> None:
        self._pending = {}
        self._again = set()
        self._timer = Timer()
        self._socket, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._socket, select.EPOLLIN)
        self._epoll.register(self._timer, select.EPOLLIN)
        self.lost = False

    @override
    def _dropped(self) -> bool:
        return self.lost

    @override
    def close(self) -> None:
        for one in (self._socket, self.kernel, self._epoll, self._timer):
            one.close()

    def asked(self, device: int | str | None, *, seq: int = 1, pid: int = 0, ack: bool = True) -> None:
        match device:
            case int():
                attribute = nl.attribute_u32(1, device)
            case str():
                attribute = nl.attribute_text(2, device)
            case _:
                attribute = b""
        flags = nl.NLM_F_REQUEST | (nl.NLM_F_ACK if ack else 0)
        self.kernel.send(nl.message(FAMILY, flags, seq, genetlink.HEADER.pack(1, 1) + attribute, pid))

    def answered(self, *, seq: int = 1, pid: int = 0, port: int = 77, errno: int = 0) -> None:
        request = nl.HEADER.pack(100, FAMILY, 5, seq, pid)
        self.kernel.send(nl.message(nl.NLMSG_ERROR, 0, seq, struct.pack("=i", -errno) + request, port))


@pytest.fixture
def tap() -> Iterator[Tap]:
    made = Tap()
    yield made
    made.close()


@pytest.mark.parametrize("device", [3, "wg0"])
@pytest.mark.parametrize("errno", [0, 22])
def test_device_is_told_at_the_answer(tap: Tap, device: int | str, errno: int) -> None:
    """The request has no effect yet; the answer, good or bad, comes after it."""
    tap.asked(device)
    assert tap.read_hints() == set()
    tap.answered(errno=errno)
    assert tap.read_hints() == {device}
    assert tap.read_hints() == set()


def test_answer_to_nobody_knows_what_means_any_device(tap: Tap) -> None:
    """The filter misses a request that stands second in a datagram, and its answer is seen."""
    tap.answered()
    assert tap.read_hints() is None


def test_request_that_does_not_name_its_device_first(tap: Tap) -> None:
    """Any device may be meant, at its answer."""
    tap.asked(None)
    assert tap.read_hints() == set()
    tap.answered()
    assert tap.read_hints() is None


def test_two_requests_with_one_identity(tap: Tap) -> None:
    """Two programs may choose the same number (wg takes the time); both devices are told, the second as "any"."""
    tap.asked(3)
    tap.asked("wg1")
    tap.answered()
    assert tap.read_hints() == {3, "wg1"}
    tap.answered()
    assert tap.read_hints() is None


def test_request_without_acknowledgement_is_told_twice(tap: Tap, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and a moment later, when it surely took effect; then no more."""
    monkeypatch.setattr(module, "AGAIN", 0.001)
    tap.asked(3, ack=False)
    assert tap.read_hints() == {3}
    assert select.select([tap], [], [], 10)[0]
    assert tap.read_hints() == {3}
    assert tap.read_hints() == set()
    assert not select.select([tap], [], [], 0)[0]


def test_loss_means_any_device(tap: Tap) -> None:
    """What was dropped may have been anything, and half-known requests are forgotten."""
    tap.asked(3)
    tap.lost = True
    assert tap.read_hints() is None
    assert not tap._pending


def test_nonsense_means_any_device(tap: Tap) -> None:
    """A frame that cannot be read may have told of any device."""
    tap.kernel.send(b"\0")
    assert tap.read_hints() is None


def test_requests_that_are_never_answered_do_not_pile_up(tap: Tap) -> None:
    """The oldest are forgotten; their answers then mean any device."""
    for seq in range(MAX_PENDING + 10):
        tap.asked(3, seq=seq)
        tap.read_hints()
    assert len(tap._pending) == MAX_PENDING
    tap.answered(seq=0)
    assert tap.read_hints() is None
    tap.answered(seq=MAX_PENDING)
    assert tap.read_hints() == {3}
