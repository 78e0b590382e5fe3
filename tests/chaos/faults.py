"""Faults at the edges of the real daemon: what kernel, device and disk may answer, and deaths at counted instants.

A page of memory that test and daemon share holds the knobs (how often which fault comes, at which crossing of an edge
the process dies) and what the daemon tells of itself. `install` runs in the forked daemon, before its main.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import mmap
import os
import random
import signal
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Any, Final

from peerway import daemon, readings, watcher
from peerway.backends import ledgerstore, netlinkbatch, userspace
from peerway.backends.device import BaseDevice
from peerway.backends.kernel import KernelDevice
from peerway.backends.netlink import NetlinkError, NetlinkSocket
from peerway.backends.rtnetlink import Rtnetlink
from peerway.backends.userspace import RefusedError, UserspaceDevice
from peerway.engine import Engine
from peerway.model import columns as cl
from peerway.model import health
from peerway.model.ports import Gap
from peerway.model.prefix import Prefix

BUSY: Final = (errno.EBUSY, errno.ENOBUFS, errno.EINTR, errno.EIO, errno.ETIMEDOUT)
THOUSAND: Final = 1000


def put(owner: Any, name: str, value: Any) -> None:
    """Put something in the place of what a module or class has, for the life of this process."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, value)


class Knob(IntEnum):
    """Where a number stands in the page. Rates are in thousandths of the occasions."""

    KILL_AT = 0  # the crossing of an edge at which the process dies; 0 = never
    CROSSINGS = 1  # so many were there
    DEVICE = 2  # the device does not answer as it should
    KERNEL = 3  # nor the kernel
    LEDGER = 4  # the disk is full
    LOSS = 5  # notifications are lost, which the kernel tells
    SILENCE = 6  # the same, and nobody tells
    SLOW = 7  # an answer takes its time
    REFUSED = 8  # which prefixes WireGuard refuses, one bit each
    AUDIT = 9  # milliseconds between two audits
    TASKS = 10  # tasks of the event loop
    STEPS = 11  # rounds of the engine


class Page:
    """The shared numbers."""

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 4096)).cast("q")

    def __getitem__(self, knob: Knob) -> int:
        return self._numbers[knob]

    def __setitem__(self, knob: Knob, number: int) -> None:
        self._numbers[knob] = number

    def calm(self) -> None:
        """No more faults from now on."""
        for knob in (Knob.DEVICE, Knob.KERNEL, Knob.LEDGER, Knob.LOSS, Knob.SILENCE, Knob.SLOW, Knob.REFUSED):
            self[knob] = 0
        self[Knob.KILL_AT] = 0


class Edges:
    """What happens at an edge."""

    def __init__(self, page: Page, seed: int, refusable: Sequence[Prefix]) -> None:
        self.page, self.dice = page, random.Random(seed)
        self._refusable = refusable

    def cross(self) -> None:
        """One more crossing; perhaps the last."""
        self.page[Knob.CROSSINGS] += 1
        if self.page[Knob.CROSSINGS] == self.page[Knob.KILL_AT]:
            os.kill(os.getpid(), signal.SIGKILL)

    def strikes(self, knob: Knob) -> bool:
        """Whether a fault comes now."""
        rate = self.page[knob]
        return bool(rate) and self.dice.randrange(THOUSAND) < rate

    def fail(self, knob: Knob) -> None:
        """Perhaps raise what this edge may answer."""
        if self.strikes(knob):
            number = errno.ENOSPC if knob is Knob.LEDGER else self.dice.choice(BUSY)
            raise OSError(number, f"{os.strerror(number)} (by the test)")

    async def take_time(self) -> None:
        """Perhaps let time pass."""
        if self.strikes(Knob.SLOW):
            await asyncio.sleep(self.dice.uniform(0.001, 0.05))

    def refused(self) -> set[Prefix]:
        """What WireGuard does not take at present."""
        mask = self.page[Knob.REFUSED]
        return {prefix for number, prefix in enumerate(self._refusable) if mask >> number & 1} if mask else set()


def install(page: Page, seed: int, refusable: Sequence[Prefix]) -> None:
    """Put faults around the edges of this process, and make its long times short."""
    edges = Edges(page, seed, refusable)
    for kind in (UserspaceDevice, KernelDevice):
        _device(edges, kind)
    _kernel(edges)
    _hearing(edges)
    _ledger(edges)
    _telling(page)
    put(health, "FIRST", 0.05)
    put(health, "LAST", 0.2)
    put(watcher, "AUDIT_INTERVAL", page[Knob.AUDIT] / 1000)
    put(daemon, "ROUND_RETRY", 0.05)
    put(userspace, "TIMEOUT", 0.4)
    put(readings, "POLL_SHARE", 2)
    put(watcher, "AUDIT_SHARE", 2)


def _device(edges: Edges, kind: type[BaseDevice]) -> None:
    send, read, give = kind._send, kind._read, kind._give
    asked: dict[int, set[Prefix]] = {}

    @functools.wraps(give)
    def noted_give(device: Any, chunk: Any) -> bytes:
        request = give(device, chunk)
        asked.clear()
        asked[id(request)] = {prefix for _, column in chunk for prefix in cl.prefixes(column)}
        return request

    @functools.wraps(send)
    async def faulty_send(device: Any, request: bytes, meanwhile: Any = None) -> None:
        edges.cross()
        await edges.take_time()
        edges.fail(Knob.DEVICE)
        if asked.get(id(request), set()) & edges.refused():
            words = "refused by the test"
            userspace_kind = isinstance(device, UserspaceDevice)
            raise RefusedError(errno.EINVAL, words) if userspace_kind else NetlinkError(errno.EINVAL, words)
        await send(device, request, meanwhile)
        edges.cross()
        edges.fail(Knob.DEVICE)  # done, and nobody knows

    @functools.wraps(read)
    async def faulty_read(device: Any) -> Any:
        await edges.take_time()
        edges.fail(Knob.DEVICE)
        return await read(device)

    put(kind, "_send", faulty_send)
    put(kind, "_read", faulty_read)
    put(kind, "_give", noted_give)


def _kernel(edges: Edges) -> None:
    exchange, request, routes = netlinkbatch._exchange, NetlinkSocket.request, Rtnetlink.routes

    def faulty_exchange(sock: Any, data: Any, seqs: range, fine: Collection[int]) -> Any:
        edges.cross()
        edges.fail(Knob.KERNEL)
        refused = exchange(sock, data, seqs, fine)
        edges.cross()
        edges.fail(Knob.KERNEL)
        return refused

    def faulty_request(sock: Any, *words: Any, **more: Any) -> Any:
        edges.cross()
        edges.fail(Knob.KERNEL)
        return request(sock, *words, **more)

    def faulty_routes(table: Any, keep: Any) -> Any:
        edges.fail(Knob.KERNEL)
        return routes(table, keep)

    put(netlinkbatch, "_exchange", faulty_exchange)
    put(NetlinkSocket, "request", faulty_request)
    put(Rtnetlink, "routes", faulty_routes)


def _hearing(edges: Edges) -> None:
    read = Rtnetlink.read_changes

    def deaf_read(table: Any) -> list[Any]:
        changes = read(table)
        if changes and edges.strikes(Knob.LOSS):
            return [Gap("dropped by the test")]
        if changes and edges.strikes(Knob.SILENCE):
            return [change for change in changes if edges.dice.random() < 0.5]
        return changes

    put(Rtnetlink, "read_changes", deaf_read)


class Disk:
    """The module `os` with a disk that takes half of what it is given, and sometimes nothing more."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        """Take a part of it."""
        self._edges.cross()
        written = os.write(descriptor, data[: max(1, len(data) // 2)])
        self._edges.cross()
        self._edges.fail(Knob.LEDGER)
        return written


def _ledger(edges: Edges) -> None:
    put(ledgerstore, "os", Disk(edges))


def _telling(page: Page) -> None:
    step = Engine.step

    async def telling_step(engine: Engine, *news: Any) -> None:
        await step(engine, *news)
        page[Knob.STEPS] += 1
        page[Knob.TASKS] = len(asyncio.all_tasks())

    put(Engine, "step", telling_step)
