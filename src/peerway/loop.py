"""The daemon's event loop: the engine's news come first, and guests, who ask at the control socket, one at a time.

asyncio goes through all that is ready before it looks again, so a thousand guests who ask at once would keep a change
of routes waiting for all of their answers. Guests stand in an epoll of their own: each look lets one of them in, in
turn. While a change is on its way they wait for its end, but never for longer than MOMENT.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

MOMENT: Final = 0.002  # seconds that guests wait at most while a change is on its way
_READABLE: Final = ~select.EPOLLOUT
_WRITABLE: Final = ~select.EPOLLIN


class Selector(selectors.EpollSelector):
    """
    The event loop's selector. What it hears at the descriptor `first` is told before the loop goes through all that is
    ready, so that who waits for it has its turn in this pass, and not in the next one.

    `busy`: a change is on its way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = -1
        self.tell: Callable[[], None] = lambda: None
        self.busy = False
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._all = select.epoll.fromfd(os.dup(self.fileno()))
        self._guests = select.epoll()
        self._door = self._guests.fileno()
        self._all.register(self._door, select.EPOLLIN)
        self._known: dict[int, int] = {}  # descriptors of guests, and their inodes: numbers are used again
        self._inside: set[int] = set()
        self._shut = False
        self._let_in = 0.0  # when a guest had its turn

    def guest(self, descriptor: int) -> None:
        """
        This file, which is not registered yet, belongs to a guest.
        """
        self._known[descriptor] = os.fstat(descriptor).st_ino

    @override
    def close(self) -> None:
        self._all.close()
        self._guests.close()
        super().close()

    @override
    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._keys[key.fd] = key
        if self._is_guest(key.fd):
            self._all.unregister(key.fd)
            read, write = events & selectors.EVENT_READ, events & selectors.EVENT_WRITE
            self._guests.register(key.fd, (select.EPOLLIN if read else 0) | (select.EPOLLOUT if write else 0))
            self._inside.add(key.fd)
        return key

    @override
    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        del self._keys[key.fd]
        if key.fd in self._inside:
            self._inside.discard(key.fd)
            with suppress(OSError):  # it was closed
                self._guests.unregister(key.fd)
        return key

    @override
    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        former = self.get_key(fileobj)
        if former.fd in self._inside and events != former.events:
            self.unregister(fileobj)
            return self.register(fileobj, events, data)
        key = self._keys[former.fd] = super().modify(fileobj, events, data)
        return key

    def _is_guest(self, descriptor: int) -> bool:
        inode = self._known.get(descriptor)
        if inode is None or os.fstat(descriptor).st_ino == inode:
            return inode is not None
        del self._known[descriptor]
        return False

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._shut:
            timeout = self._open(timeout)
        ready: list[tuple[selectors.SelectorKey, int]] = []
        heard = False
        for descriptor, events in self._all.poll(-1 if timeout is None or timeout < 0 else timeout):
            if descriptor == self._door:
                self._admit(ready)
                continue
            heard |= descriptor == self.first
            self._add(ready, descriptor, events)
        if heard:
            self.tell()
        return ready

    def _add(self, ready: list[tuple[selectors.SelectorKey, int]], descriptor: int, events: int) -> None:
        key = self._keys.get(descriptor)
        if key is not None:
            read = selectors.EVENT_READ if events & _READABLE else 0
            write = selectors.EVENT_WRITE if events & _WRITABLE else 0
            ready.append((key, (read | write) & key.events))

    def _admit(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        now = monotonic()
        if self.busy and now - self._let_in < MOMENT:
            self._shut = True
            self._all.modify(self._door, 0)
            return
        for descriptor, events in self._guests.poll(0, 1):
            self._add(ready, descriptor, events)
        self._let_in = now

    def _open(self, timeout: float | None) -> float | None:
        """Let guests in again, or return how long to look for others until then."""
        left = self._let_in + MOMENT - monotonic()
        if self.busy and left > 0:
            return left if timeout is None else min(timeout, left)
        self._shut = False
        self._all.modify(self._door, select.EPOLLIN)
        return timeout


class Loop(asyncio.SelectorEventLoop):
    """
    The event loop with this selector.
    """

    def __init__(self) -> None:
        self.selector = Selector()
        super().__init__(self.selector)
