"""The table that notifications build, beside a small kernel that is kept by hand (tests/harness/reference.py).

tests/lab/test_rib.py asks the same of a real kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given

from peerway.model.rib import Rib
from peerway.model.route import NextHop, Path, RouteChange
from tests.harness.columns import dumped, flat
from tests.harness.reference import (
    ADDED,
    APPENDED,
    DELETED,
    HOPS,
    OPERATIONS,
    REPLACED,
    V4,
    V6,
    Kernel,
    Operation,
    carry_out,
)
from tests.harness.site import WG


def everything(_: Path) -> bool:
    return True


def not_32(path: Path) -> bool:
    """Some paths are kept, others are not: never two of one key."""
    return path.metric != 32


def not_away(path: Path) -> bool:
    return path.nexthops != (HOPS[1],)


class Wanted:
    """What is relevant now, and may be something else later."""

    def __init__(self, now: Callable[[Path], bool]) -> None:
        self.now = now

    def __call__(self, path: Path) -> bool:
        return self.now(path)


@pytest.mark.parametrize("relevant", [everything, not_32])
@given(operations=OPERATIONS)
def test_notifications_build_what_a_dump_shows(operations: list[Operation], relevant: Callable[[Path], bool]) -> None:
    """After any operations the table is what a dump of the kernel shows, unless it says that it is in doubt."""
    kernel, rib = Kernel(), Rib(relevant)
    for operation in operations:
        carry_out(kernel, [operation])
        for change in kernel.waiting:
            before = rib.paths(change.prefix)
            assert rib.apply(change) == (before != rib.paths(change.prefix))
        kernel.waiting.clear()
        dump = dumped(kernel.dump(relevant))
        if rib.uncertain:
            rib.load(dump)
        assert not rib.uncertain
        assert not rib.differing(dump)
        fresh = Rib(relevant)
        fresh.load(dump)
        assert rib.entries == fresh.entries


@given(OPERATIONS, OPERATIONS)
def test_a_dump_tells_exactly_what_differs(first: list[Operation], then: list[Operation]) -> None:
    """Loading a dump returns the prefixes whose routes are others now, and no more; loading it again returns none."""
    kernel, rib = Kernel(), Rib(everything)
    carry_out(kernel, first)
    rib.load(dumped(kernel.dump()))
    before = {prefix: rib.paths(prefix) for prefix in V4 + V6}
    carry_out(kernel, then)
    dump = dumped(kernel.dump())
    would = flat(rib.differing(dump))
    assert all(rib.paths(prefix) == before[prefix] for prefix in before)
    found = flat(rib.load(dump))
    assert found == would == [prefix for prefix in sorted(before) if rib.paths(prefix) != before[prefix]]
    assert not rib.load(dumped(kernel.dump()))
    assert len(rib) == len(list(rib)) == len([prefix for prefix in V4 + V6 if rib.paths(prefix)])


@given(OPERATIONS)
def test_notifications_older_than_the_dump_do_no_harm(operations: list[Operation]) -> None:
    """A dump is newer than what still waits: once that is taken too, the table is right, or in doubt."""
    kernel, rib = Kernel(), Rib(everything)
    carry_out(kernel, operations)
    rib.load(dumped(kernel.dump()))
    for change in kernel.waiting:
        rib.apply(change)
    assert rib.uncertain or not rib.differing(dumped(kernel.dump()))


@given(OPERATIONS)
def test_paths_are_found_by_their_prefixes_and_back(operations: list[Operation]) -> None:
    """Distinct paths are all there are, and those having a path are the prefixes that show it."""
    kernel, rib = Kernel(), Rib(everything)
    carry_out(kernel, operations)
    rib.load(dumped(kernel.dump()))
    everywhere = {path for prefix in rib for path in rib.paths(prefix)}
    assert rib.distinct_paths() == everywhere
    for path in everywhere:
        assert flat(rib.having([path])) == [prefix for prefix in rib if path in rib.paths(prefix)]
    assert flat(rib.having(everywhere)) == list(rib) == sorted(rib)
    assert rib.having([]) == []


def test_a_replacement_among_several_is_in_doubt() -> None:
    """The kernel does not say which of several equal IPv4 routes was replaced: only a dump tells."""
    rib = Rib(everything)
    one, two, three = (Path(254, 12, 0, (hop,)) for hop in HOPS)
    for kind, path in ((ADDED, one), (APPENDED, two), (REPLACED, three)):
        rib.apply(RouteChange(kind, V4[0], path))
    assert rib.uncertain
    assert rib.paths(V4[0]) == (three, two)


def test_a_replacement_of_one_alone_is_certain() -> None:
    """Where one route stands alone, its replacement is followed without a dump."""
    rib = Rib(everything)
    one, two, _ = (Path(254, 12, 0, (hop,)) for hop in HOPS)
    rib.apply(RouteChange(ADDED, V4[0], one))
    rib.apply(RouteChange(REPLACED, V4[0], two))
    assert not rib.uncertain
    assert rib.paths(V4[0]) == (two,)


def test_a_deletion_of_what_is_not_held_is_in_doubt() -> None:
    """An IPv4 or IPv6 deletion that matches none of the routes beside it leaves a doubt."""
    for prefix, metric in ((V4[0], 0), (V6[0], 32)):
        rib = Rib(everything)
        one, two, _ = (Path(254, 12, metric, (hop,)) for hop in HOPS)
        rib.apply(RouteChange(ADDED, prefix, one))
        assert not rib.apply(RouteChange(DELETED, prefix, two))
        assert rib.uncertain
        assert rib.paths(prefix) == (one,)


def test_a_deletion_of_what_does_not_matter_is_no_doubt() -> None:
    """Beside a route of ours another one goes that was never held: nothing changes."""
    for prefix in (V4[0], V6[0]):
        rib = Rib(lambda path: path.nexthops != (HOPS[1],))
        one, two = (Path(254, 12, 32, (hop,)) for hop in HOPS[:2])
        rib.apply(RouteChange(ADDED, prefix, one))
        assert not rib.apply(RouteChange(DELETED, prefix, two))
        assert not rib.uncertain


@pytest.mark.parametrize("other", [Path(254, 12, 32, type=6), Path(254, 12, 32, nexthop_id=1)])
def test_only_routes_by_gateways_are_siblings(other: Path) -> None:
    """A blackhole, or a route on a nexthop object, stands beside an IPv6 route of the same metric."""
    rib = Rib(everything)
    via = Path(254, 12, 32, HOPS[:1])
    rib.apply(RouteChange(ADDED, V6[0], other))
    rib.apply(RouteChange(APPENDED, V6[0], via))
    assert rib.paths(V6[0]) == (other, via)
    rib.apply(RouteChange(DELETED, V6[0], via))
    assert rib.paths(V6[0]) == (other,)


def test_what_is_held_already_is_told_again() -> None:
    """A notification that is older than the dump names a route that is there: it stays once."""
    on_link = Path(254, 12, 32, (NextHop(WG),))
    for prefix in (V4[0], V6[0]):
        rib = Rib(everything)
        for kind in (ADDED, APPENDED, ADDED):
            rib.apply(RouteChange(kind, prefix, on_link))
        assert rib.paths(prefix) == (on_link,)


def test_all_next_hops_at_once_leave_nothing() -> None:
    """A deletion names next hops without their weights; when none is left, the route is gone."""
    rib = Rib(everything)
    rib.apply(RouteChange(ADDED, V6[0], Path(254, 12, 32, (NextHop(WG, HOPS[0].gateway, 5), HOPS[1]))))
    rib.apply(RouteChange(DELETED, V6[0], Path(254, 12, 32, HOPS[:2])))
    assert not rib


def test_an_unknown_deletion_alone_is_nothing() -> None:
    """A deletion at a prefix of which nothing is held is of no interest."""
    rib = Rib(everything)
    assert not rib.apply(RouteChange(DELETED, V4[0], Path(254, 12, 0, (HOPS[0],))))
    assert not rib.uncertain
    assert not rib


def test_siblings_of_two_protocols_are_in_doubt() -> None:
    """A merged IPv6 route has one protocol in a dump and perhaps another in a notification: a dump decides."""
    rib = Rib(everything)
    rib.apply(RouteChange(ADDED, V6[0], Path(254, 12, 32, (HOPS[0],))))
    rib.apply(RouteChange(APPENDED, V6[0], Path(254, 4, 32, HOPS[:2])))
    assert rib.uncertain


def test_an_ipv6_replacement_takes_the_place_of_its_own_sort() -> None:
    """Of an IPv6 route with a gateway and one without, a replacement takes the place of the one like it."""
    rib = Rib(everything)
    on_link, via, other = (Path(254, 12, 32, hops) for hops in ((NextHop(WG),), (HOPS[0],), (HOPS[1],)))
    for path in (on_link, via):
        rib.apply(RouteChange(APPENDED, V6[0], path))
    rib.apply(RouteChange(REPLACED, V6[0], other))
    assert rib.paths(V6[0]) == (on_link, other)
    rib.apply(RouteChange(DELETED, V6[0], other))
    rib.apply(RouteChange(REPLACED, V6[0], via))
    assert rib.paths(V6[0]) == (via,)


def test_of_two_equal_ipv6_routes_one_is_deleted() -> None:
    """The kernel can hold two routes that look alike; each deletion takes one."""
    rib = Rib(everything)
    twice = Path(254, 12, 32, (NextHop(WG),))
    rib.load(dumped({V6[0]: (twice, twice)}))
    rib.apply(RouteChange(DELETED, V6[0], twice))
    assert rib.paths(V6[0]) == (twice,)


def test_a_next_hop_left_alone_has_no_weight() -> None:
    """When all but one next hop of an IPv6 route go, a dump shows the last one without its weight."""
    rib = Rib(everything)
    heavy = NextHop(WG, HOPS[0].gateway, 5)
    rib.apply(RouteChange(ADDED, V6[0], Path(254, 12, 32, (heavy, HOPS[1]))))
    rib.apply(RouteChange(DELETED, V6[0], Path(254, 12, 32, (HOPS[1],))))
    assert rib.paths(V6[0]) == (Path(254, 12, 32, (HOPS[0],)),)


def test_what_became_irrelevant_is_forgotten() -> None:
    """A route replaced by one that leaves elsewhere is no longer held, and a new one elsewhere never is."""
    for prefix in (V4[0], V6[0]):
        wanted = Wanted(not_32)
        rib = Rib(wanted)
        good, away = Path(254, 12, 0, (HOPS[0],)), Path(254, 12, 32, (HOPS[0],))
        assert not rib.apply(RouteChange(ADDED, prefix, away))
        assert rib.apply(RouteChange(ADDED, prefix, good))
        wanted.now = not_away
        assert rib.apply(RouteChange(REPLACED, prefix, replace(good, nexthops=(HOPS[1],))))
        assert rib.paths(prefix) == ()
        assert not rib


def test_a_dump_forgets_what_was_relevant() -> None:
    """What a notification made of a route is not remembered beyond a dump: an interface may have come or gone."""
    for prefix in (V4[0], V6[0]):
        wanted = Wanted(everything)
        rib = Rib(wanted)
        good, away = (Path(254, 12, 0, (hop,)) for hop in HOPS[:2])
        for expected in ((away,), (), (away,)):
            rib.load(dumped({prefix: good}))
            rib.apply(RouteChange(REPLACED, prefix, away))
            assert rib.paths(prefix) == expected
            wanted.now = not_away if wanted.now is everything else everything


def test_the_same_words_mean_another_thing_in_the_other_family() -> None:
    """An IPv4 route is appended behind its like; an IPv6 one is told with all siblings, and takes their place."""
    one, two = (Path(254, 12, 32, hops) for hops in (HOPS[:1], HOPS[:2]))
    for prefixes in ((V4[0], V6[0]), (V6[0], V4[0])):
        rib = Rib(everything)
        for prefix in prefixes:
            rib.apply(RouteChange(ADDED, prefix, one))
            rib.apply(RouteChange(APPENDED, prefix, two))
        assert rib.paths(V4[0]) == (one, two)
        assert rib.paths(V6[0]) == (two,)
