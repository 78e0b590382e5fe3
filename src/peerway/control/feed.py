"""Events on their way to all who listen: one copy, made once, and for each client only its place in it.

So a thousand listeners hold no more than one does, and one who stalled is dropped when what it missed is no longer
held. Listeners have their turns one by one, with the event loop in between: a change of routes never waits for all.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from peerway.control.api import Hear, Json

HELD: Final = 65_536  # events that a client may be behind
HELD_BYTES: Final = 16 << 20  # of these as text
WAITING: Final = 100_000  # events that may come at once, before any of them is text
AT_ONCE: Final = 64  # events that are made text, or are sent to one client, before others have their turn

log = logging.getLogger(__name__)

Subscribe = Callable[[Hear], Callable[[], None]]


class Listener:
    """
    One client's place in the stream of events.
    """

    __slots__ = ("drop", "lost", "place")

    def __init__(self, place: int, drop: Callable[[], None]) -> None:
        """
        `place` is the number of the next event, `drop` hangs up.
        """
        self.place, self.drop = place, drop
        self.lost = False


class Feed:
    """
    Subscribes to events (control.api.DaemonApi.listen) while there are listeners.
    """

    def __init__(self, subscribe: Subscribe, *, held: int = HELD) -> None:
        """
        Only in a running event loop.
        """
        self._subscribe, self._held = subscribe, held
        self._loop = asyncio.get_running_loop()
        self._listeners: set[Listener] = set()
        self._idle: dict[asyncio.Future[None], None] = {}  # turns of those who have all that there is
        self._due: dict[asyncio.Future[None], None] = {}  # turns of those for whom there is more, in order
        self._fresh: deque[Callable[[], Json]] = deque()
        self._texts: list[bytes] = []
        self._first = 0  # the number of the first of these texts
        self._size = 0
        self._moving = self._ended = False
        self._leave: Callable[[], None] | None = None

    @contextmanager
    def listen(self, drop: Callable[[], None]) -> Iterator[Listener]:
        """
        Events from now on. `drop` is called when the client is too far behind.
        """
        if self._leave is None:
            self._leave = self._subscribe(self._hear)
        listener = Listener(self._first + len(self._texts) + len(self._fresh), drop)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._leave is not None:
                self._leave()
                self._leave = None
                self._fresh.clear()
                self._forget(len(self._texts))

    async def next(self, listener: Listener) -> bytes | None:
        """
        The next events, as server-sent ones, when there are any and it is this listener's turn; None at the end of the
        stream. Raises ConnectionAbortedError when it was dropped.
        """
        while True:
            if listener.lost:
                raise ConnectionAbortedError("the client does not read")
            behind = listener.place < self._first + len(self._texts)
            if self._ended and not behind and not self._fresh:
                return None
            turns = self._due if behind else self._idle
            turn = self._loop.create_future()
            turns[turn] = None
            self._move()
            try:
                await turn
            finally:
                self._idle.pop(turn, None)
                self._due.pop(turn, None)
            start = listener.place - self._first
            if start >= 0 and (some := self._texts[start : start + AT_ONCE]):
                listener.place += len(some)
                return b"".join(some)

    def end(self) -> None:
        """
        No more events: listeners get what there is, and the end.
        """
        self._ended = True
        self._due |= self._idle
        self._idle.clear()
        self._move()

    def _hear(self, event: Callable[[], Json]) -> None:
        self._fresh.append(event)
        if len(self._fresh) > WAITING:
            self._fresh.clear()
            self._drop(self._listeners, "too many events came at once")
        self._move()

    def _move(self) -> None:
        if not self._moving:
            self._moving = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        """One listener's turn; or, when all had theirs, some more events. Then the event loop's."""
        if self._due:
            turn = next(iter(self._due))
            del self._due[turn]
            if not turn.done():
                turn.set_result(None)
        elif self._fresh:
            self._make_texts()
            self._due |= self._idle
            self._idle.clear()
        else:
            self._moving = False
            return
        self._loop.call_soon(self._step)

    def _make_texts(self) -> None:
        for _ in range(min(AT_ONCE, len(self._fresh))):
            event = self._fresh.popleft()
            try:
                text = f"data: {json.dumps(event())}\n\n".encode()
            except Exception:
                log.exception("an event cannot be told")
                self._drop(self._listeners, "one event is missing")
                continue
            self._texts.append(text)
            self._size += len(text)
        surplus = max(len(self._texts) - self._held, 0)
        size = self._size - sum(map(len, self._texts[:surplus]))
        while size > HELD_BYTES:
            size -= len(self._texts[surplus])
            surplus += 1
        if surplus:
            self._forget(surplus)
            late = [listener for listener in self._listeners if listener.place < self._first]
            self._drop(late, "it does not read its events")

    def _forget(self, count: int) -> None:
        self._size -= sum(map(len, self._texts[:count]))
        del self._texts[:count]
        self._first += count

    def _drop(self, listeners: Iterable[Listener], why: str) -> None:
        for listener in [one for one in listeners if not one.lost]:
            log.warning("a client of monitor is dropped: %s", why)
            listener.lost = True
            listener.drop()
        self._due |= self._idle
        self._idle.clear()
