"""A buffer for many netlink datagrams, which is used again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from peerway.backends import burst
from peerway.backends.burst import Burst
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.nlstream import Words

LARGEST: Final = 1 << 20  # bytes of one datagram; a dump's have 32 KiB
FULL: Final = 1 << 20  # bytes from which on no further datagram is taken: what fits in a processor's cache
FEW: Final = 16  # datagrams of one filling that come one by one: a lone change is no burst

Receive = Callable[[memoryview, int, int], int]
"""socket.recv_into, of a buffer, 0 for all of it, and flags."""


class Inbox:
    """
    Datagrams back to back, each from a word of 32 bits on.
    """

    __slots__ = ("_at", "_view", "_words", "sizes")

    def __init__(self) -> None:
        data = burst.room(FULL + max(LARGEST, burst.MOST * burst.LONGEST))
        self._view = memoryview(data)
        self._words: Words = np.frombuffer(data, np.uint32)
        self._at = 0
        self.sizes: list[int] = []
        """The bytes of each datagram."""

    @property
    def words(self) -> Words:
        """The datagrams as words, and what lies behind them."""
        return self._words

    def datagrams(self) -> list[bytes]:
        """
        Copies of the datagrams, for a reader of few.
        """
        at, view, found = 0, self._view, []
        for size in self.sizes:
            found.append(bytes(view[at : at + size]))
            at += (size + 3) & ~3
        return found

    def clear(self) -> None:
        """
        Forget what was received.
        """
        self._at = 0
        self.sizes.clear()

    def fill(self, receive: Receive, flags: int, limit: int, many: Burst | None = None) -> bool:
        """
        Receive until the buffer is full, or holds `limit` datagrams (False), or nothing waits (True: the call would
        have blocked). `flags` must have MSG_TRUNC. What came before an error stays. After FEW, short ones come by
        `many`, if it is given.

        Raises OSError of the socket, and RemoteProtocolError for a datagram of more than LARGEST bytes.
        """
        at, view, sizes = self._at, self._view, self.sizes
        try:
            while at < FULL and len(sizes) < limit:
                if many and len(sizes) >= FEW and sizes[-1] <= burst.SHORT:
                    some, taken = many.receive(self._words[at >> 2 :], limit - len(sizes))
                    sizes += some
                    at += 4 * taken
                    continue
                size = receive(view[at:] if at else view, 0, flags)
                if size > LARGEST:
                    raise RemoteProtocolError(f"netlink: a datagram of {size} bytes is longer than {LARGEST}")
                sizes.append(size)
                at += (size + 3) & ~3
        except BlockingIOError:
            return True
        finally:
            self._at = at
        return False
