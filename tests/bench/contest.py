"""What contests share: how much is measured, and taking turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tests.bench import table
from tests.bench.contestant import Contestant, Peerway
from tests.bench.place import Place

T = TypeVar("T")
SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; routes are IPv4 ones."""

    routes: int = 1_000_000
    rounds: int = 5
    changes: int = 2_000
    bird: int = 1_000_000
    idle: float = 60.0  # seconds
    stopped: float = 5.0  # seconds
    peers: tuple[int, ...] = (8, 256)
    steps: tuple[int, ...] = (1_000, 10_000, 100_000, 300_000, 1_000_000, 1_200_000)

    def title(self, what: str, place: Place, extra: str = "") -> str:
        """What a row is about."""
        return f"{what}, {len(place.expected):,} routes{extra}, {len(place.keys)} peers"


FULL: Final = Size()
SHORT: Final = Size(50_000, 1, 100, 2_000, 1.0, 1.0, (8,), (1_000, 10_000))


def loaded(place: Place, v4: int, v6: int = 0) -> Place:
    """The place with a table of routes, as is then expected; the AllowedIPs are others' business."""
    place.expected = table.generate(v4, v6, len(place.keys))
    place.load(place.expected)
    return place


def turns(
    place: Place,
    rounds: int,
    measure: Callable[[Contestant], T],
    makers: Sequence[Callable[[Place], Contestant]] = (Contestant, Peerway),
) -> list[list[T]]:
    """
    Let each contestant have its turn in each round, from peers without AllowedIPs; what was measured, by contestant.
    """
    results: list[list[T]] = [[] for _ in makers]
    for _ in range(rounds):
        for mine, make in zip(results, makers, strict=True):
            place.clear()
            with make(place) as contestant:
                mine.append(measure(contestant))
    return results


def since_begin(contestant: Contestant) -> float:
    """Seconds from the begin of the contestant to the right end."""
    return (contestant.settle() - contestant.stamps.begin) / SECOND
