"""The table that bursts and dumps build in columns is the one that single notifications and entries build."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.route import Path, RouteChange, RouteChangeKind, RouteColumns
from tests.harness.columns import burst, dumped, flat, however_few
from tests.harness.reference import HOPS, IPV4_PATHS, IPV6_PATHS, OPERATIONS, V4, V6, Kernel, Operation, carry_out

FOUR = [px.parse(f"10.{number}.0.0/16") for number in range(70)], IPV4_PATHS
SIX = [px.parse(f"2001:db8:{number:x}::/48") for number in range(70)], IPV6_PATHS
SHAPES = pytest.mark.parametrize("shape", [nullcontext, however_few])
FAMILIES = pytest.mark.parametrize("family", [FOUR, SIX], ids=["ipv4", "ipv6"])
SEEDS = st.integers(0, 1 << 32)
Shape = Callable[[], AbstractContextManager[None]]
Family = tuple[list[Prefix], list[Path]]


def everything(_: Path) -> bool:
    return True


def not_32(path: Path) -> bool:
    """Some paths are kept, others are not: never two of one key."""
    return path.metric != 32


# bursts


@SHAPES
@pytest.mark.parametrize("relevant", [everything, not_32])
@given(first=OPERATIONS, then=OPERATIONS)
def test_a_burst_is_its_notifications_one_by_one(
    first: list[Operation], then: list[Operation], relevant: Callable[[Path], bool], shape: Shape
) -> None:
    """What a kernel tells, taken at once: the same entries, the same doubt, and the prefixes that differ by it."""
    kernel = Kernel()
    carry_out(kernel, first)
    dump = dumped(kernel.dump(relevant))
    kernel.waiting.clear()
    carry_out(kernel, then)
    with shape():
        one_semantics(dump, kernel.waiting, relevant)


@SHAPES
@FAMILIES
@given(seed=SEEDS, count=st.integers(0, 300))
def test_any_burst_is_its_notifications_one_by_one(seed: int, count: int, family: Family, shape: Shape) -> None:
    """Also of notifications that no kernel would tell in this order, many of them, about many prefixes or few."""
    dice, (all_prefixes, paths) = random.Random(seed), family
    prefixes = all_prefixes[: dice.choice((1, 3, 20, 70))]
    kinds = dice.sample([*RouteChangeKind], dice.randint(1, 5))
    known = dice.sample(prefixes, dice.randint(0, len(prefixes)))
    entries = {prefix: tuple(dice.choices(paths, k=dice.choice((1, 1, 2, 3)))) for prefix in known}
    changes = [RouteChange(dice.choice(kinds), dice.choice(prefixes), dice.choice(paths)) for _ in range(count)]
    with shape():
        one_semantics(dumped(entries), changes, dice.choice((everything, not_32)))


def one_semantics(dump: list[RouteColumns], changes: list[RouteChange], relevant: Callable[[Path], bool]) -> None:
    """A burst and its notifications one by one lead to the same."""
    apart, together = Rib(relevant), Rib(relevant)
    apart.load(dump)
    together.load(dump)
    before = dict(apart.entries)
    for change in changes:
        apart.apply(change)
    for part in burst(changes):
        differ = cl.prefixes(together.apply_many(part))
        here = [p for p in before.keys() | apart.entries.keys() if px.family(p) == cl.family(part.column)]
        assert differ == sorted(prefix for prefix in here if before.get(prefix) != apart.entries.get(prefix))
    assert together.entries == apart.entries
    assert len(together) == len(apart) == len(dict(apart.entries))
    assert together.uncertain == apart.uncertain


def test_a_burst_without_kinds_is_a_dump() -> None:
    """Who mistakes a dump for notifications is told."""
    with pytest.raises(ValueError, match="kinds"):
        Rib(everything).apply_many(dumped({V4[0]: Path(254, 12, 0)})[0])


# dumps


def kernels_order(path: Path) -> tuple[int, int, int, int]:
    return path.table, path.tos, path.metric, -1 if path.source is None else path.source


@SHAPES
@FAMILIES
@given(seed=SEEDS, width=st.integers(0, 70), most=st.integers(1, 5))
def test_a_dump_is_taken_entry_by_entry(seed: int, width: int, most: int, family: Family, shape: Shape) -> None:
    """Each prefix has the paths that its rows say, in the kernel's order, in whichever order the prefixes come."""
    dice, (prefixes, paths) = random.Random(seed), family
    rows = [(prefix, path) for prefix in prefixes[:width] for path in dice.choices(paths, k=dice.randint(1, most))]
    if dice.random() < 0.7:
        dice.shuffle(rows)
    model: dict[Prefix, list[Path]] = {}
    for prefix, path in rows:
        model.setdefault(prefix, []).append(path)
    before = {prefix: dice.choice(paths) for prefix in dice.sample(prefixes, 20)}
    with shape():
        rib = Rib(everything)
        rib.load(dumped(before))
        would = flat(rib.differing(as_rows(rows)))
        differ = flat(rib.load(as_rows(rows)))
    expected = {prefix: tuple(sorted(some, key=kernels_order)) for prefix, some in model.items()}
    assert {prefix: rib.paths(prefix) for prefix in rib} == expected
    old = {prefix: (path,) for prefix, path in before.items()}
    assert differ == would == sorted(p for p in old.keys() | expected.keys() if old.get(p) != expected.get(p))
    assert rib.distinct_paths() == {path for _, path in rows}


def as_rows(rows: list[tuple[Prefix, Path]]) -> list[RouteColumns]:
    """A dump of one family in which the rows of a prefix may lie apart."""
    if not rows:
        return []
    told = list(dict.fromkeys(path for _, path in rows))
    column = cl.make(px.family(rows[0][0]), [prefix for prefix, _ in rows])
    return [RouteColumns(column, np.array([told.index(path) for _, path in rows], np.int32), told)]


@pytest.mark.parametrize(("prefix", "other"), [V4, V6])
def test_three_siblings_stay_in_the_kernels_order(prefix: Prefix, other: Prefix) -> None:
    """Of routes that differ by their next hop alone the first stays first; metrics and tables come before that."""
    one, two, three = (Path(254, 12, 32, (hop,)) for hop in HOPS)
    better = Path(254, 12, 1, HOPS[:1])
    rib = Rib(everything)
    rib.load(as_rows([(other, two), (prefix, three), (prefix, one), (prefix, better), (prefix, two)]))
    assert rib.paths(prefix) == (better, three, one, two)
    assert rib.paths(other) == (two,)


def test_what_a_prefix_had_before_a_dump_is_told() -> None:
    """Who asks hears of each prefix that differs what it had, and of no other."""
    heard: dict[Prefix, tuple[Path, ...]] = {}
    rib = Rib(everything)
    one, two, three = (Path(254, 12, 32, (hop,)) for hop in HOPS)
    rib.load(dumped({V4[0]: one, V4[1]: (one, two), V6[0]: three}))
    rib.load(dumped({V4[0]: one, V4[1]: two, V6[1]: three}), heard.__setitem__)
    assert heard == {V4[1]: (one, two), V6[0]: (three,), V6[1]: ()}
