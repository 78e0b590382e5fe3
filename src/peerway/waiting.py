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

EVENTS: Final = select.EPOLLIN | select.EPOLLET


class Waiting:
    """
    Wakes when a watched descriptor has news, when somebody calls `wake`, or at a deadline.
    """

    def __init__(self) -> None:
        """
        Only in a running event loop.
        """
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._epoll = select.epoll()
        self._left = select.poll()
        self._watched: set[int] = set()
        self._loop.add_reader(self._epoll.fileno(), self._news)

    def close(self) -> None:
        """
        Watch nothing any more.
        """
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def wake(self) -> None:
        """
        End the wait, or the next one if nobody waits now.
        """
        self._woken.set()

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

    async def until(self, deadline: float) -> None:
        """
        Return at a deadline of the loop's clock (time.monotonic), or as soon as there is news.
        """
        if self._left.poll(0):
            self._woken.set()
        if self._woken.is_set():
            await asyncio.sleep(0)  # a set event is no pause, and news without end must leave others their turn
        timer = self._loop.call_at(deadline, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
            self._woken.clear()

    def _news(self) -> None:
        self._epoll.poll(0)
        self._woken.set()
