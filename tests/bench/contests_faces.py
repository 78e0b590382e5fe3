"""Contests of what people see of a large table: answers of the control socket, and AllowedIPs that stand for many."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from peerway.control.client import Client
from tests.bench.contest import SECOND, Size, loaded, turns
from tests.bench.contestant import ROOT, Contestant, Peerway
from tests.bench.figures import Row, percentile
from tests.bench.place import Place
from tests.bench.table import Flat

ASKED: Final = 20  # times each
AGGREGATE: Final = {"interfaces": {"*": {"aggregate": True}}}


def faces(place: Place, size: Size) -> list[Row]:
    """How long the daemon takes to answer while it holds the table, and `peerway routes --json | head` as a whole."""

    def measure(contestant: Contestant) -> dict[str, float]:
        assert isinstance(contestant, Peerway)
        contestant.settle()
        client = Client(contestant.control)
        client.status()  # loads what answers
        head = f"{sys.executable} -m peerway -s {contestant.control} routes --json | head -c 1000"
        return {
            "status": _median(client.status),
            "why": _median(lambda: client.why("9.9.9.9")),
            "the first of routes": _median(lambda: next(client.routes())),
            "`peerway routes --json | head`": _median(
                lambda: subprocess.run(["sh", "-c", head], capture_output=True, check=True, cwd=ROOT)
            ),
        }

    loaded(place, size.routes)
    (ours,) = turns(place, size.rounds, measure, [Peerway])
    limits = {"status": "50 ms"}
    return [
        Row(size.title(f"{what}, answered", place), "ms", [], [one[what] for one in ours], limits.get(what, ""))
        for what in ours[0]
    ]


def _median(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(ASKED):
        begin = time.monotonic_ns()
        ask()
        took.append(1000 * (time.monotonic_ns() - begin) / SECOND)
    return percentile(took, 0.5)


def aggregated(place: Place, size: Size) -> list[Row]:
    """The initial sync with `aggregate: true` against without, and how many AllowedIPs there are."""

    def measure(contestant: Contestant) -> tuple[float, float]:
        took = (contestant.settle() - contestant.stamps.begin) / SECOND
        return took, len(place.held()) / 1000

    loaded(place, size.routes)
    plain, ours = turns(place, size.rounds, measure, (Peerway, Aggregating))
    return [
        Row(
            size.title("initial sync, aggregated against not", place), "s", [t for t, _ in plain], [t for t, _ in ours]
        ),
        Row(size.title("AllowedIPs, aggregated against not", place), "k", [n for _, n in plain], [n for _, n in ours]),
    ]


class Aggregating(Peerway):
    """
    The daemon with `aggregate: true`: right is what gives each address the peer that the routes name.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place, AGGREGATE)

    @override
    def settle(self, first: int = 0) -> int:
        return self._settle(first, self._wrong, "answers")

    def _wrong(self) -> Flat:
        expected = self.place.expected
        last = _numbers(expected) | (np.uint64(1) << (np.uint64(32) - expected["length"])) - np.uint64(1)
        found: Flat = expected[answers(expected, last) != answers(self.place.held(), last)]
        return found


def _numbers(flat: Flat) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(flat["address"][:, :4]).view(">u4").reshape(-1).astype(np.uint64)


def answers(flat: Flat, addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The peer that has the longest prefix around each IPv4 address; -1 for none."""
    found = np.full(len(addresses), -1, np.int64)
    for length in np.unique(flat["length"]).tolist():  # a longer one takes the place of a shorter one
        some = flat[flat["length"] == length]
        some = some[np.argsort(_numbers(some))]
        networks, wanted = _numbers(some), addresses >> np.uint64(32 - length) << np.uint64(32 - length)
        at = np.minimum(networks.searchsorted(wanted), len(some) - 1)
        hit = networks[at] == wanted
        found[hit] = some["peer"][at[hit]]
    return found
