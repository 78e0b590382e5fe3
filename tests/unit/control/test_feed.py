"""The feed: one copy of the events for all, turns one by one, and who falls behind is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from peerway.control import feed
from peerway.control.api import Hear, Json
from peerway.control.feed import Feed


class Source:
    """Where events come from."""

    def __init__(self) -> None:
        self.hear: Hear | None = None
        self.made = 0

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        assert self.hear is None, "one subscription is enough"
        self.hear = hear
        return self._leave

    def _leave(self) -> None:
        self.hear = None

    def happen(self, *numbers: int) -> None:
        for number in numbers:
            assert self.hear
            self.hear(lambda number=number: self._make(number))  # type: ignore[misc]

    def _make(self, number: int) -> Json:
        self.made += 1
        return {"number": number}


def numbers(text: bytes | None) -> list[int]:
    """What the events of a text are."""
    assert text is not None
    return [json.loads(part.removeprefix(b"data: "))["number"] for part in text.split(b"\n\n") if part]


def hung_up() -> None:
    """A client that is not expected to be dropped."""
    raise AssertionError("dropped")


async def test_each_hears_all_from_when_it_came_and_each_is_made_once() -> None:
    """Two clients get the same events, from the first after they began; there is one subscription and one text."""
    source = Source()
    events = Feed(source.subscribe)
    with events.listen(hung_up) as first:
        source.happen(1)
        with events.listen(hung_up) as second:
            source.happen(2, 3)
            assert numbers(await events.next(first)) == [1, 2, 3]
            assert numbers(await events.next(second)) == [2, 3]
            assert source.made == 3
        assert source.hear
    assert source.hear is None


async def test_turns_are_taken_one_by_one() -> None:
    """However many listen, no more than one of them works between two turns of the event loop."""
    source = Source()
    events = Feed(source.subscribe)
    loop_turns = served = 0
    at: list[int] = []

    async def follow() -> None:
        nonlocal served
        with events.listen(hung_up) as listener:
            await events.next(listener)
            at.append(loop_turns)
            served += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(follow())
        await asyncio.sleep(0)
        source.happen(1)
        while served < 50:
            await asyncio.sleep(0)
            loop_turns += 1
    assert len(set(at)) == 50


async def test_who_is_behind_by_more_than_is_held_is_dropped() -> None:
    """It is hung up on and gets no more; another that kept up goes on."""
    source, dropped = Source(), list[str]()
    events = Feed(source.subscribe, held=3)
    with events.listen(lambda: dropped.append("slow")) as slow, events.listen(hung_up) as quick:
        for number in range(5):
            source.happen(number)
            assert numbers(await events.next(quick)) == [number]
        assert dropped == ["slow"]
        with pytest.raises(ConnectionAbortedError):
            await events.next(slow)
        source.happen(6)
        assert numbers(await events.next(quick)) == [6]


async def test_what_is_held_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few long events count as much as many short ones."""
    monkeypatch.setattr(feed, "HELD_BYTES", 100)
    source, dropped = Source(), list[str]()
    events = Feed(source.subscribe)
    with events.listen(lambda: dropped.append("slow")), events.listen(hung_up) as quick:
        for number in range(20):
            source.happen(number)
            await events.next(quick)
            assert sum(map(len, events._texts)) == events._size <= 100
        assert dropped == ["slow"]


async def test_too_many_at_once_drop_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst that cannot be held ends the streams that would have a gap, and what comes later is heard again."""
    monkeypatch.setattr(feed, "WAITING", 10)
    source, dropped = Source(), list[str]()
    events = Feed(source.subscribe)
    with events.listen(lambda: dropped.append("one")) as one:
        source.happen(*range(11))
        with pytest.raises(ConnectionAbortedError):
            await events.next(one)
    assert dropped == ["one"]
    with events.listen(hung_up) as other:
        source.happen(7)
        assert numbers(await events.next(other)) == [7]


async def test_the_end_comes_after_what_is_held() -> None:
    """At the stop every client gets what it has not yet had, and then the end; who waits is told as well."""
    source = Source()
    events = Feed(source.subscribe)
    with events.listen(hung_up) as behind, events.listen(hung_up) as idle:
        source.happen(*range(100))
        while numbers(await events.next(idle))[-1] != 99:
            pass
        waiting = asyncio.ensure_future(events.next(idle))
        await asyncio.sleep(0)
        events.end()
        assert await waiting is None
        heard: list[int] = []
        while (text := await events.next(behind)) is not None:
            heard += numbers(text)
        assert heard == list(range(100))


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    """A cancelled wait is forgotten: quiet months do not fill the memory."""
    source = Source()
    events = Feed(source.subscribe)
    with events.listen(hung_up) as listener:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await events.next(listener)
        assert not events._idle
        assert not events._due
        source.happen(1)
        assert numbers(await events.next(listener)) == [1]
