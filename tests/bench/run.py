"""Measure peerway against a floor of the same run: python -m tests.bench.run [--short]  (root, wireguard-go).

Two things are measured: one change from RTM_NEWROUTE to its AllowedIP, and the initial sync of a table. Rounds are
interleaved, so that what else the machine does falls on all contestants. The status is 1 if an end state is wrong;
speed is printed and never judged.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from peerway.lab.signals import raising_at_the_end
from tests.bench.figures import Rounds, lines
from tests.bench.floor import Floor
from tests.bench.place import Place, WrongEndError
from tests.bench.stamps import Stamps, in_peerway
from tests.harness.daemon import Daemon

PAUSE: Final = 0.003  # seconds between changes, so that each is alone
UNSEEN: Final = {"daemon": {"poll_interval": "1h"}}  # readings of the device would fall between changes at random
MICRO: Final = ("us", 1000)
MILLI: Final = ("ms", 1_000_000)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    changes: int = 100
    table: int = 1000  # routes that stand while single ones change
    initial: int = 10_000
    peers: int = 8


FULL: Final = Size()
SHORT: Final = Size(rounds=1, changes=20, table=50, initial=300, peers=3)


def one_change(place: Place, size: Size, stamps: Stamps) -> Rounds:
    """
    Nanoseconds from sending RTM_NEWROUTE, which moves a prefix to another peer, until its AllowedIP is set.
    """
    shift = 0

    def changes(applied: Callable[[int], int]) -> list[int]:
        nonlocal shift
        shift += 1
        took = []
        for number in range(size.changes):
            message = place.message(number, number + shift)
            address = 0x0A000000 + (number << 8)
            time.sleep(PAUSE)
            begin = time.monotonic_ns()
            place.send(message)
            took.append(applied(address) - begin)
        return took

    def told(address: int) -> int:
        while (stamp := stamps.receive()).address != address:
            pass
        return stamp.time

    def inline() -> list[int]:
        def applied(_: int) -> int:
            floor.change()
            return time.monotonic_ns()

        with opened(place) as floor:
            return changes(applied)

    def own_process() -> list[int]:
        with opened(place) as floor, floor.in_own_process(stamps):
            return changes(told)

    def peerway() -> list[int]:
        place.clear()  # what a floor has set is somebody else's work to peerway
        with in_peerway(stamps), Daemon(place.namespace, UNSEEN):
            stamps.clear()
            return changes(told)

    place.clear()
    place.load(size.table)
    with opened(place) as floor:
        floor.sync()
    contestants = {"floor": inline, "floor, in a process of its own": own_process, "peerway": peerway}
    return interleaved(contestants, size.rounds, place.check)


def initial_sync(place: Place, size: Size, stamps: Stamps) -> Rounds:
    """
    Nanoseconds from a table of routes to the AllowedIPs that it names, on a device whose peers have none.
    """
    started: list[int] = []

    def inline() -> list[int]:
        place.clear()
        with opened(place) as floor:
            begin = time.monotonic_ns()
            floor.sync()
            return [time.monotonic_ns() - begin]

    def peerway() -> list[int]:
        place.clear()
        stamps.clear()
        start = time.monotonic_ns()
        with in_peerway(stamps), Daemon(place.namespace, UNSEEN):
            begin = stamps.receive().time
            given = 0
            while given < size.initial:
                stamp = stamps.receive()
                given += stamp.given
            started.append(stamp.time - start)
            return [stamp.time - begin]

    place.load(size.initial)
    rounds = interleaved({"floor": inline, "peerway": peerway}, size.rounds, place.check)
    return {**rounds, "peerway, from its start": [[value] for value in started]}


@contextmanager
def opened(place: Place) -> Iterator[Floor]:
    """A floor with fresh sockets."""
    floor = Floor(place)
    try:
        yield floor
    finally:
        floor.close()


def interleaved(contestants: dict[str, Callable[[], list[int]]], rounds: int, check: Callable[[str], None]) -> Rounds:
    """Let all have their turn in each round, and check the end state after each turn."""
    results: dict[str, list[list[int]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            results[name].append(run())
            check(name)
    return results


def machine() -> str:
    """What the figures depend on."""
    told = subprocess.run(["wireguard-go", "--version"], capture_output=True, text=True, check=False).stdout
    version = (told.splitlines() or ["no wireguard-go"])[0]
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, {version}"


def main(words: Sequence[str]) -> int:
    """
    Measure and print. Returns 0, 1 for a wrong end state, 2 for wrong usage.
    """
    if set(words) - {"--short"}:
        print("usage: python -m tests.bench.run [--short]", file=sys.stderr)
        return 2
    size = SHORT if words else FULL
    print(machine(), "", sep="\n")
    try:
        with raising_at_the_end(), Stamps() as stamps:
            with Place(size.peers) as place:
                print(f"One change, of {size.table} routes by {size.peers} peers: {size.rounds} x {size.changes} times")
                print(*lines(one_change(place, size, stamps), {"p50": 0.5, "p99": 0.99}, MICRO), "", sep="\n")
            with Place(size.peers) as place:
                print(f"Initial sync of {size.initial} routes by {size.peers} peers: {size.rounds} times")
                print(*lines(initial_sync(place, size, stamps), {"median": 0.5}, MILLI), sep="\n")
    except WrongEndError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
