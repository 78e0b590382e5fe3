"""Contests of a whole table: the initial sync, its parts and sizes, what it needs of memory, and a core when idle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.bench import table
from tests.bench.contest import SECOND, Size, loaded, since_begin, turns
from tests.bench.contestant import ROOT, Config, Contestant, Peerway, cpu, memory
from tests.bench.figures import Row
from tests.bench.place import Place, WrongEndError

REST: Final = 2.0  # seconds after the sync before anything is weighed


def initial(place: Place, size: Size) -> list[Row]:
    """From the begin of the process to all AllowedIPs, on a device whose peers have none; then `peerway verify`."""
    loaded(place, size.routes)
    limit = "1.2" if len(place.keys) <= 8 else "1.3"
    return [_sync(place, size, size.title("initial sync", place), limit, verified)]


def initial6(place: Place, size: Size) -> list[Row]:
    """The same of both families."""
    loaded(place, size.routes, int(size.routes * table.V6_SHARE))
    limit = "1.2" if len(place.keys) <= 8 else "1.3"
    return [_sync(place, size, size.title("initial sync", place, " with IPv6"), limit)]


def _sync(
    place: Place, size: Size, title: str, limit: str = "", after: Callable[[Contestant], None] = lambda _: None
) -> Row:
    def measure(contestant: Contestant) -> float:
        took = since_begin(contestant)
        after(contestant)
        return took

    floor, ours = turns(place, size.rounds, measure)
    return Row(title, "s", floor, ours, limit)


def verified(contestant: Contestant) -> None:
    """Raises WrongEndError if `peerway verify` does not agree."""
    if not isinstance(contestant, Peerway):
        return
    words = [sys.executable, "-m", "peerway", "-s", str(contestant.control), "verify"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise WrongEndError(f"peerway verify: {(done.stdout + done.stderr)[-2000:]}")


def guards(place: Place, size: Size) -> list[Row]:
    """The full sync with accept lists, limits, a protocol list and the ledger, against without any of them."""
    accept = ["0.0.0.0/0 le 24", "::/0 le 48"]
    peers = {f"peer{i}": {"public_key": str(key), "accept": accept} for i, key in enumerate(place.keys)}
    given = {"max_prefixes": 4 * size.routes, "protocols": ["*", "!babel", "!kernel"], "peers": peers}
    config: Config = {"interfaces": {"*": given}}
    loaded(place, size.routes, int(size.routes * table.V6_SHARE))
    makers = (lambda place: Peerway(place, None, "--no-ledger"), lambda place: Peerway(place, config))
    title = size.title("filters, limits and ledger against none", place)
    without, ours = turns(place, size.rounds, since_begin, makers)
    return [Row(title, "s", without, ours, "1.15")]


def resident(place: Place, size: Size) -> list[Row]:
    """Resident memory after the initial sync of both families, at rest."""

    def measure(contestant: Contestant) -> tuple[float, float]:
        contestant.settle()
        time.sleep(REST)
        return memory(contestant.process.pid) / 1e6, memory(contestant.process.pid, "VmHWM:") / 1e6

    loaded(place, size.routes, int(size.routes * table.V6_SHARE))
    floor, ours = turns(place, size.rounds, measure)
    title = size.title("resident memory", place, " with IPv6")
    return [
        Row(title, "MB", [now for now, _ in floor], [now for now, _ in ours], "1.8"),
        Row(f"{title}, highest", "MB", [high for _, high in floor], [high for _, high in ours]),
    ]


def idle(place: Place, size: Size) -> list[Row]:
    """What the daemon, and wireguard-go if the device is its, take of a core while nothing happens."""

    def measure(contestant: Contestant) -> list[float]:
        contestant.settle()
        time.sleep(REST)
        pids = [contestant.process.pid] if place.kernel else [contestant.process.pid, place.server()]
        before, begin = [cpu(pid) for pid in pids], time.monotonic_ns()
        time.sleep(size.idle)
        after, took = [cpu(pid) for pid in pids], time.monotonic_ns() - begin
        return [100 * (now - then) / took for now, then in zip(after, before, strict=True)]

    loaded(place, size.routes)
    ((ours,),) = turns(place, 1, measure, [Peerway])
    title = size.title(f"idle for {size.idle:g} s", place)
    whose = ((title, "0.2 %"), (f"{title}: wireguard-go", ""))
    return [Row(what, "% CPU", [], [used], limit) for used, (what, limit) in zip(ours, whose, strict=False)]


def sizes(place: Place, size: Size) -> list[Row]:
    """The initial sync by size of the table."""
    rows = []
    for step in size.steps:
        loaded(place, step)
        row = _sync(place, size, size.title("initial sync by size", place))
        rows.append(replace(row, size=step))
        place.load(place.expected, "delete")
    return rows


def dump(place: Place, size: Size) -> list[Row]:
    """The daemon's reading of all routes, in a process of its own, against only receiving them."""
    loaded(place, size.routes)
    floor, ours = [], []
    for _ in range(size.rounds):
        floor.append(int(place.namespace.run(place.program("receive"), "2").split()[0]) / SECOND)
        told = json.loads(place.namespace.run(sys.executable, "-m", "tests.bench.reading"))
        if told["routes"] < len(place.expected):
            raise WrongEndError(f"peerway: {told['routes']} of {len(place.expected)} routes were read")
        ours.append(told["seconds"])
    return [Row(size.title("dump and parse against receiving", place), "s", floor, ours, "1.4")]
