"""Situations: what a verdict depends on, but for the prefix itself.

Prefixes with the same routes, the same holder, the same ledger and the same acceptance have the same verdict. So many
prefixes are cut into parts that are alike, and one of each is judged, by the same rules as one prefix alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix, parse
from peerway.model.rib import Rib
from peerway.model.table import grouped

FEW: Final = 16
"""So many prefixes are judged each on its own: to cut them would cost more."""

Claimants = Callable[[Prefix], Iterable[PublicKey]]
"""The peers whose acceptance matters to the verdict on a prefix."""

_LINK_LOCAL: Final = parse("fe80::/10")
_COUNTABLE: Final = 1 << 22


def alike(interface: Interface, rib: Rib, column: Column, claimants: Claimants) -> Iterator[Column]:
    """
    Cut sorted prefixes of one family into parts that share a verdict. A gateway's address is a part of its own.
    """
    if len(column) <= FEW:
        for at in range(len(column)):
            yield column[at : at + 1]
        return
    gateways = _gateways(interface, column)
    for at in range(len(gateways)):
        yield gateways[at : at + 1]
    column = cl.without(column, gateways)
    of_tables = [table.find(column) for table in interface.tables()]
    signature = together((rib.entries.find(column), *of_tables, kinds(column)))
    for _, part in grouped(column, signature):
        yield from _by_acceptance(interface, part, claimants)


def _gateways(interface: Interface, column: Column) -> Column:
    addresses = [found for found in cl.columns(interface.gateways.addresses) if found.dtype == column.dtype]
    if not addresses or not len(column):
        return column[:0]
    at, there = cl.place(column, addresses[0])
    return cl.unique(np.sort(column[at[there]]))


def kinds(column: Column) -> Codes:
    """
    Hosts, default routes and link-local prefixes are treated apart by some rules; 0 is none of them.
    """
    found = cl.hosts(column).astype(np.int32)
    found += 2 * (cl.lengths(column) == 0)
    found += 4 * cl.inside(column, _LINK_LOCAL)
    return found


def _by_acceptance(interface: Interface, column: Column, claimants: Claimants) -> Iterator[Column]:
    policies = interface.policy.peers
    if not policies:
        yield column
        return
    restricted = sorted(
        peer for peer in set(claimants(cl.first(column))) if interface.policy.peer(peer).accept is not None
    )
    masks = [policies[peer].accepting(column).astype(np.int32) for peer in restricted]
    for _, part in grouped(column, together(masks)) if masks else ((0, column),):
        yield part


def together(codes: Sequence[npt.NDArray[np.int32]]) -> Codes:
    """
    One small number for each different combination.
    """
    total, wide = codes[0].astype(np.int64), int(codes[0].max(initial=0)) + 1
    for some in codes[1:]:
        top = int(some.max(initial=0))
        if not top:
            continue
        if wide * (top + 1) >= 1 << 62:
            total = _small(total, wide).astype(np.int64)
            wide = int(total.max()) + 1
        total = total * (top + 1) + some
        wide *= top + 1
    return _small(total, wide)


def _small(total: npt.NDArray[np.int64], wide: int) -> Codes:
    if wide <= 1 << 16:
        return total.astype(np.int32)
    if wide <= _COUNTABLE:
        used = np.bincount(total, minlength=wide) > 0
        return (np.cumsum(used, dtype=np.int32) - np.int32(1))[total]
    return np.unique(total, return_inverse=True)[1].reshape(-1).astype(np.int32)
