"""Waiting, with real pipes and a real event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from peerway.waiting import Waiting

LONG = 3600.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
async def waiting() -> Waiting:
    return Waiting()


async def test_news_end_the_wait(waiting: Waiting, pipe: tuple[int, int]) -> None:
    """A descriptor that becomes readable during the wait ends it, time and again."""
    waiting.watch([pipe[0]])
    for _ in range(3):
        asyncio.get_running_loop().call_later(0.001, os.write, pipe[1], b"x")
        await waiting.until(time.monotonic() + LONG)
        assert os.read(pipe[0], 10) == b"x"


async def test_what_was_left_unread_ends_the_next_wait(waiting: Waiting, pipe: tuple[int, int]) -> None:
    """Data that a round did not read all of is no new edge, and ends the wait all the same."""
    waiting.watch([pipe[0]])
    os.write(pipe[1], b"xy")
    await waiting.until(time.monotonic() + LONG)
    os.read(pipe[0], 1)
    await asyncio.sleep(0.01)
    await waiting.until(time.monotonic() + LONG)
    assert os.read(pipe[0], 10) == b"y"


async def test_waiting_data_does_not_spin_the_loop(waiting: Waiting, pipe: tuple[int, int]) -> None:
    """While a round is busy, data that waits wakes the loop once, not in each turn."""
    woken = 0
    real = waiting._epoll.poll

    class Counted:
        def poll(self, timeout: float) -> list[tuple[int, int]]:
            nonlocal woken
            woken += 1
            return real(timeout)

    waiting.watch([pipe[0]])
    waiting._epoll = Counted()  # type: ignore[assignment]
    os.write(pipe[1], b"x")
    for _ in range(50):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert woken == 1


async def test_a_call_ends_the_wait_before_or_during_it(waiting: Waiting) -> None:
    """`wake` is not lost when nobody waits at that moment."""
    waiting.wake()
    await waiting.until(time.monotonic() + LONG)
    asyncio.get_running_loop().call_later(0.001, waiting.wake)
    await waiting.until(time.monotonic() + LONG)


async def test_a_deadline_ends_the_wait(waiting: Waiting) -> None:
    """At the deadline, also one that has passed, the wait is over."""
    await waiting.until(time.monotonic() - 1)
    await waiting.until(time.monotonic() + 0.001)


async def test_only_the_named_descriptors_are_watched(waiting: Waiting, pipe: tuple[int, int]) -> None:
    """A descriptor that is no longer named, closed or not, wakes nobody."""
    waiting.watch([pipe[0]])
    waiting.watch([])
    os.write(pipe[1], b"x")
    called: list[bool] = []

    def call() -> None:
        called.append(True)
        waiting.wake()

    waiting._loop.call_later(0.02, call)
    await waiting.until(time.monotonic() + LONG)
    assert called
    waiting.close()


async def test_news_without_end_leave_others_their_turn(waiting: Waiting, pipe: tuple[int, int]) -> None:
    """While there is always something to read, signals and other tasks are served between the rounds."""
    waiting.watch([pipe[0]])
    os.write(pipe[1], b"x")  # nobody reads it
    others: list[int] = []
    for turn in range(3):
        asyncio.get_running_loop().call_soon(others.append, turn)
        await waiting.until(time.monotonic() + LONG)
    assert others == [0, 1, 2]
    waiting.close()


async def test_a_number_that_is_another_file_by_now_is_watched() -> None:
    """Whoever closes a descriptor and opens another, which gets its number, is woken by the new one."""
    waiting = Waiting()
    first, writer = os.pipe()
    waiting.watch([first])
    other, other_writer = os.pipe()
    os.dup2(other, first)
    waiting.watch([first])
    asyncio.get_running_loop().call_later(0.01, os.write, other_writer, b"x")
    async with asyncio.timeout(5):
        await waiting.until(asyncio.get_running_loop().time() + 60)
    waiting.close()
    for descriptor in (first, writer, other, other_writer):
        os.close(descriptor)


async def test_a_wait_tells_where_news_are(waiting: Waiting, pipe: tuple[int, int]) -> None:
    """The descriptors with news, whether they came before or during the wait; none at a deadline, None after a call."""
    waiting.watch([pipe[0]])
    os.write(pipe[1], b"x")
    assert await waiting.until(time.monotonic() + LONG) == {pipe[0]}
    os.read(pipe[0], 10)
    assert await waiting.until(time.monotonic() + 0.001) == set()
    asyncio.get_running_loop().call_later(0.001, os.write, pipe[1], b"x")
    assert await waiting.until(time.monotonic() + LONG) == {pipe[0]}
    waiting.wake()
    assert await waiting.until(time.monotonic() + LONG) is None
    waiting.close()


@pytest.mark.parametrize(("first", "second"), [(LONG, 0.01), (0.01, 0.02)])
async def test_the_last_deadline_counts(waiting: Waiting, pipe: tuple[int, int], first: float, second: float) -> None:
    """A timer of an earlier wait neither delays the next one nor ends it too soon."""
    waiting.watch([pipe[0]])
    begin = time.monotonic()
    waiting._loop.call_soon(os.write, pipe[1], b"x")
    assert await waiting.until(begin + first) == {pipe[0]}
    os.read(pipe[0], 10)
    async with asyncio.timeout(5):
        assert await waiting.until(begin + second) == set()
    assert time.monotonic() >= begin + second
    waiting.close()
