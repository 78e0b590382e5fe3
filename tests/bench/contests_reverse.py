"""The other direction: pinned AllowedIPs become routes."""

from __future__ import annotations

from tests.bench import table
from tests.bench.contest import SECOND, Size
from tests.bench.contestant import Peerway
from tests.bench.figures import Row
from tests.bench.place import Place

ANY_PROTOCOL = 0


def pinned(place: Place, size: Size) -> list[Row]:
    """From the begin of the process to a route for each AllowedIP that others had set; against the C loader."""
    place.expected = table.generate(size.routes, 0, len(place.keys))
    place.clear()
    place.give(place.expected)
    floor, ours = [], []
    for _ in range(size.rounds):
        begin, end = place.load(place.expected)
        floor.append((end - begin) / SECOND)
        place.load(place.expected, "delete")
        with Peerway(place) as contestant:
            ours.append((contestant.settle_routes() - contestant.stamps.begin) / SECOND)
            place.check("peerway, which is to change no pinned AllowedIP")
        place.load(place.expected, "delete", protocol=ANY_PROTOCOL)
    return [Row(size.title("pinned AllowedIPs to routes", place), "s", floor, ours, "1.25")]
