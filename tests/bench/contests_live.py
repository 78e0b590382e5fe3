"""Contests of a table that changes: one route, many at full speed, more than anybody can hear, and a nexthop object."""

from __future__ import annotations

import threading
import time
from typing import Final

import numpy as np

from peerway.model import prefix as px
from peerway.model.columns import Mask
from tests.bench import table
from tests.bench.contest import SECOND, Size, loaded, turns
from tests.bench.contestant import PATIENCE, Contestant, Peerway
from tests.bench.figures import Row, percentile
from tests.bench.place import Place, WrongEndError
from tests.bench.table import Flat

PAUSE: Final = 0.003  # seconds between changes, so that each is alone
PART: Final = 0.9  # of the table is withdrawn
UNHEARD: Final = 800_000  # notifications that no receive buffer holds
REPLACED: Final = 0.4  # of the table goes through one nexthop object
NEXTHOP: Final = 1000  # the first object's id


def moved(place: Place, count: int, rng: np.random.Generator) -> Flat:
    """So many of the expected prefixes with another peer each, in random order; they are expected now."""
    chosen = rng.permutation(len(place.expected))[:count]
    peers = len(place.keys)
    away = rng.integers(1, peers, len(chosen), dtype="u2")
    place.expected["peer"][chosen] = (place.expected["peer"][chosen] + away) % peers
    found: Flat = place.expected[chosen]
    return found


def change(place: Place, size: Size) -> list[Row]:
    """One RTM_NEWROUTE that moves a prefix, alone, until its AllowedIP is set."""
    rng = np.random.default_rng(2)

    def measure(contestant: Contestant) -> list[int]:
        contestant.settle()
        found = lone_changes(place, contestant, size.changes, rng, PAUSE)
        contestant.settle()
        return found

    loaded(place, size.routes)
    floor, ours = turns(place, size.rounds, measure)
    rows = []
    for name, share, limit in (("p50", 0.5, "1.5"), ("p99", 0.99, "2")):
        base, own = ([percentile(each, share) / 1000 for each in side] for side in (floor, ours))
        rows.append(Row(size.title(f"one change, {name}", place), "us", base, own, limit))
    return rows


def lone_changes(place: Place, contestant: Contestant, count: int, rng: np.random.Generator, pause: float) -> list[int]:
    """So many moves of one prefix, with a pause between them; ns from each request to the reply for its AllowedIP."""
    messages = [place.message(record) for record in moved(place, count, rng)]
    first = contestant.stamps.written
    sent = []
    for at, message in enumerate(messages, 1):
        sent.append(time.monotonic_ns())
        place.send(message)
        time.sleep(pause)
        _await(contestant, first + at)
    stamps = contestant.stamps.read(first)["time"][: len(sent)]
    return [int(applied) - begin for applied, begin in zip(stamps, sent, strict=True)]


def _await(contestant: Contestant, written: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while contestant.stamps.written < written:
        if time.monotonic() > deadline:
            raise WrongEndError(f"{contestant.name}: a change was not applied: {contestant.told()[-2000:]}")
        time.sleep(PAUSE)  # rarely: who looks takes the processor from who works, where there is only one


def moves(place: Place, size: Size) -> list[Row]:
    """Half of the table moves, as fast as the kernel takes it; how many prefixes a second until all are right."""
    rng = np.random.default_rng(3)
    count = size.routes // 2

    def measure(contestant: Contestant) -> float:
        contestant.settle()
        first = contestant.stamps.written
        begin, _ = place.load(moved(place, count, rng), "replace")
        return count * SECOND / (contestant.settle(first) - begin) / 1000

    loaded(place, size.routes)
    title = size.title(f"{count:,} moves, rate", place)
    floor, ours = turns(place, size.rounds, measure)
    return [Row(title, "k/s", floor, ours, "0.7 at least")]


def overrun(place: Place, size: Size) -> list[Row]:
    """
    Stopped while most of the table goes, comes back and goes again, as often as makes more than any receive buffer
    holds; from SIGCONT until all is right, and how many lines were written for each prefix that differs.
    """
    rng = np.random.default_rng(4)
    times = 1 + int(UNHEARD / (2 * PART * size.routes))

    def measure(contestant: Contestant) -> tuple[float, float]:
        contestant.settle()
        whole = place.expected
        goes = np.zeros(len(whole), bool)
        goes[rng.permutation(len(whole))[: int(PART * len(whole))]] = True
        first = contestant.stamps.written
        contestant.stop()
        begin = time.monotonic()
        for what in (*(("delete", "add") * times), "delete"):
            place.load(whole[goes], what)
        time.sleep(max(0.0, begin + size.stopped - time.monotonic()))
        place.expected = whole[~goes]
        resumed = contestant.resume()
        took, lines = contestant.settle(first) - resumed, contestant.stamps.total(first)
        place.expected = whole
        place.load(whole[goes])
        return took / SECOND, lines / goes.sum()

    loaded(place, size.routes)
    floor, ours = turns(place, size.rounds, measure)
    title = size.title("right again after an overrun", place)
    lines = size.title("lines for each prefix that differs then", place)
    return [
        Row(title, "s", [took for took, _ in floor], [took for took, _ in ours], "1.5"),
        Row(lines, "", [each for _, each in floor], [each for _, each in ours], "1", compared=False),
    ]


def nexthop(place: Place, size: Size) -> list[Row]:
    """
    A nexthop object of many routes gets another peer's gateway. The kernel tells of each of its routes then, for longer
    than all takes; so the floor sets these AllowedIPs anew beside such a replacement, and alone.
    """
    rng = np.random.default_rng(5)
    loaded(place, 0)
    whole = _through_one(size.routes, len(place.keys), rng)
    many = whole["peer"] == 0
    replaced = whole.copy()
    replaced["peer"][many] = 1
    for peer in range(len(place.keys)):
        _object(place, peer, peer, "add")
    place.load(whole, nexthop=NEXTHOP)
    message, rounds = place.object_message(NEXTHOP, 1), []
    for _ in range(size.rounds):
        alone = _set_anew(place, whole, replaced, many, b"")
        beside = _set_anew(place, whole, replaced, many, message)
        _object(place, 0, 0, "replace")
        place.clear()
        place.expected = whole
        with Peerway(place) as contestant:
            contestant.settle()
            place.expected = replaced
            first, begin = contestant.stamps.written, time.monotonic_ns()
            place.send(message)
            rounds.append((beside, alone, (contestant.settle(first) - begin) / SECOND))
        _object(place, 0, 0, "replace")
    title = size.title(f"{int(many.sum()):,} routes of one nexthop object", place)
    beside_it, all_alone, ours = ([each[at] for each in rounds] for at in range(3))
    return [
        Row(title, "s", beside_it, ours, "1.2"),
        Row(f"{title}, against setting them alone", "s", all_alone, ours, ""),
    ]


def _set_anew(place: Place, whole: Flat, replaced: Flat, many: Mask, message: bytes) -> float:
    """Seconds in which the floor moves prefixes, while the kernel acts on a message."""
    place.clear()
    place.give(whole)
    place.expected = replaced
    acting = threading.Thread(target=place.send, args=(message,))
    if message:
        acting.start()
    begin, end = place.give(replaced[many])
    if message:
        acting.join()
    place.check("floor")
    return (end - begin) / SECOND


def _through_one(count: int, peers: int, rng: np.random.Generator) -> Flat:
    """A table of which the first peer has its part exactly."""
    whole = table.generate(count, 0, peers)
    first = rng.permutation(count) < int(REPLACED * count)
    whole["peer"] = np.where(first, 0, rng.integers(1, peers, count))
    return whole


def _object(place: Place, number: int, peer: int, verb: str) -> None:
    words = ("id", str(NEXTHOP + number), "via", px.address_text(place.gateways[peer]), "dev", place.device.name)
    place.namespace.ip("nexthop", verb, *words)
