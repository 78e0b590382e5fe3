"""DESIGN 4 in a few lines, for tests: who may own a prefix, said without deltas, ledgers and plans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

P = TypeVar("P")
R = TypeVar("R", int, tuple[int, ...])


def routed(routes: Iterable[tuple[R, set[P]]]) -> set[P]:
    """
    The peers of the route that the kernel would use: of those that name any, the one of the lowest rank, and among
    equals the first in the kernel's order.
    """
    naming = [(rank, number, peers) for number, (rank, peers) in enumerate(routes) if peers]
    return min(naming, key=lambda item: item[:2])[2] if naming else set()


def owners(pin: P | None, peers: set[P], *, yields: bool) -> set[P]:
    """Who may own a prefix that is pinned to a peer (or not), and routed to peers (or none); empty for nobody."""
    if pin is not None and not (yields and peers):
        return {pin}
    return peers
