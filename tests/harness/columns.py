"""Columns for tests that think in single prefixes, and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import pytest

from peerway.model import columns as cl
from peerway.model import plan, rib, rows, situations
from peerway.model.columns import Column
from peerway.model.decision import Decision, Standing
from peerway.model.keys import PublicKey
from peerway.model.ledger import Op, Record
from peerway.model.ownership import Verdict
from peerway.model.prefix import Prefix
from peerway.model.route import KINDS, Path, RouteChange, RouteColumns

K = TypeVar("K", bound=Hashable)


def groups(pairs: Iterable[tuple[Prefix, K]]) -> tuple[tuple[K, Column], ...]:
    """Pairs of prefix and name, as columns by name."""
    gathered: dict[K, list[Prefix]] = {}
    for prefix, name in pairs:
        gathered.setdefault(name, []).append(prefix)
    return tuple((name, column) for name, prefixes in gathered.items() for column in cl.columns(prefixes))


def pairs(grouped: Iterable[tuple[K, Column]]) -> list[tuple[Prefix, K]]:
    """Columns by name, as pairs of prefix and name, by prefix."""
    found = [(prefix, name) for name, column in grouped for prefix in cl.prefixes(column)]
    return sorted(found, key=lambda pair: pair[0])


def flat(columns: Iterable[Column]) -> list[Prefix]:
    """All prefixes of some columns."""
    return [prefix for column in columns for prefix in cl.prefixes(column)]


def one(prefix: Prefix) -> Column:
    """A column of one prefix."""
    return cl.columns([prefix])[0]


def deciding(
    judge: Callable[[Prefix], Verdict], want: tuple[Path, ...] = (), have: tuple[Path, ...] = ()
) -> Callable[[Prefix, Standing], Decision]:
    """Decisions for a plan: a verdict on each prefix, and the same routes for all."""
    return lambda prefix, _: Decision(judge(prefix), want, have)


Entry = tuple[Op, Prefix, PublicKey]
"""One thing that a ledger says about one prefix and one peer."""


def entries(records: Iterable[Record]) -> list[Entry]:
    """Records as entries, those of one record by prefix."""
    return [(record.op, prefix, record.peer) for record in records for prefix in sorted(cl.prefixes(record.column))]


def recorded(listed: Iterable[Entry]) -> list[Record]:
    """Entries, each as a record of its own."""
    return [Record(op, peer, one(prefix)) for op, prefix, peer in listed]


def single(column: Column) -> Iterator[Column]:
    """A column cut into its prefixes: no two are alike."""
    for at in range(len(column)):
        yield column[at : at + 1]


@contextmanager
def however_few() -> Iterator[None]:
    """Meanwhile, what goes one by one because it is little goes in columns too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(situations, "FEW", 0)
        patch.setattr(plan, "FEW", 0)
        patch.setattr(rib, "FEW", 0)
        patch.setattr(rows, "FRESH", 0)
        yield


def dumped(entries: Mapping[Prefix, Path | tuple[Path, ...]]) -> list[RouteColumns]:
    """Routes as a dump tells them."""
    rows = [
        (prefix, path)
        for prefix, entry in entries.items()
        for path in (entry if isinstance(entry, tuple) else (entry,))
    ]
    return _columns(rows, None)


def burst(changes: Iterable[RouteChange]) -> list[RouteColumns]:
    """Notifications as a burst tells them, one for each family."""
    listed = list(changes)
    return _columns([(change.prefix, change.path) for change in listed], [KINDS.index(c.kind) for c in listed])


def _columns(rows: list[tuple[Prefix, Path]], kinds: list[int] | None) -> list[RouteColumns]:
    paths = list(dict.fromkeys(path for _, path in rows))
    found = []
    for family in cl.FAMILIES:
        mine = [at for at, (prefix, _) in enumerate(rows) if cl.family(cl.columns([prefix])[0]) == family]
        if mine:
            column = cl.make(family, [rows[at][0] for at in mine])
            codes = np.array([paths.index(rows[at][1]) for at in mine], np.int32)
            some = None if kinds is None else np.array([kinds[at] for at in mine], np.int32)
            found.append(RouteColumns(column, codes, paths, some))
    return found
