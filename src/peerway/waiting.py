"""Waiting for something to do, cheaply: one timer and one descriptor, whatever there is to be watched.

The descriptors stand in an epoll of their own, edge-triggered: new data wakes once, so that data that waits while a
round is busy does not keep the event loop spinning. What a round left unread is seen before the next wait.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from peerway.loop import Loop

EVENTS: Final = select.EPOLLIN | select.EPOLLET


class Waiting:
    """
    Wakes when a watched descriptor has news, when somebody calls `wake`, or at a deadline.
    """

    def __init__(self) -> None:
        """
        Only in a running Loop.
        """
        self._loop = asyncio.get_running_loop()
        if not isinstance(self._loop, Loop):
            raise TypeError("it needs an event loop of peerway.loop")
        self._selector = self._loop.selector
        self._woken = False
        self._called = False  # woken by somebody, not by a descriptor or the clock
        self._news: set[int] = set()
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None  # at the deadline or before it
        self._epoll = select.epoll()
        self._left = select.poll()
        self._watched: set[int] = set()
        self._selector.first, self._selector.tell = self._epoll.fileno(), self._hear
        self._loop.add_reader(self._epoll.fileno(), _nothing)

    def close(self) -> None:
        """
        Watch nothing any more.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._selector.first = -1
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def wake(self) -> None:
        """
        End the wait, or the next one if nobody waits now.
        """
        self._called = True
        self._end()

    def _end(self) -> None:
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def watch(self, descriptors: Iterable[int]) -> None:
        """
        Watch these descriptors, and no others. A closed one has left by itself, and its number may be another file's.
        """
        wanted = set(descriptors)
        for descriptor in wanted & self._watched:
            try:
                self._epoll.modify(descriptor, EVENTS)
            except FileNotFoundError:
                self._epoll.register(descriptor, EVENTS)
        if wanted == self._watched:
            return
        for descriptor in self._watched - wanted:
            self._left.unregister(descriptor)
            with suppress(OSError):
                self._epoll.unregister(descriptor)
        for descriptor in wanted - self._watched:
            self._left.register(descriptor, select.POLLIN)
            self._epoll.register(descriptor, EVENTS)
        self._watched = wanted

    async def until(self, deadline: float) -> set[int] | None:
        """
        Return at a deadline of the loop's clock (time.monotonic), or as soon as there is news: the descriptors that
        have some. None if somebody called.
        """
        left = self._left.poll(0)
        if left:
            self._news.update([descriptor for descriptor, _ in left])
        if left or self._woken or deadline <= self._loop.time():
            await asyncio.sleep(0)  # news without end must leave others their turn
        else:
            self._arm(deadline)
            self._waiter = self._loop.create_future()
            self._selector.busy = False
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._selector.busy = True
        news = None if self._called else self._news
        self._news, self._woken, self._called = set(), False, False
        return news

    def _arm(self, deadline: float) -> None:
        """One timer serves for many waits: it is set anew when it has run out, or would be late."""
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._waiter is None:
            return  # the next wait begins with a look at its deadline
        if self._deadline > self._loop.time():
            self._arm(self._deadline)
        else:
            self._end()

    def _hear(self) -> None:
        self._news.update([descriptor for descriptor, _ in self._epoll.poll(0)])
        self._end()


def _nothing() -> None:
    """What there is to do was done when the selector told."""
