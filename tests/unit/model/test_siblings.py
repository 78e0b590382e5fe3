"""What one notification makes of the paths of a prefix depends on these paths alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model.route import NextHop, Path, RouteChangeKind
from peerway.model.siblings import Steps, in_order, paths_of
from tests.harness.reference import ADDED, DELETED, HOPS, IPV4_PATHS, IPV6_PATHS, REPLACED
from tests.harness.site import WG

ENTRIES = st.lists(st.sampled_from([*IPV4_PATHS, *IPV6_PATHS]), max_size=4).map(tuple)
PATHS = st.sampled_from([*IPV4_PATHS, *IPV6_PATHS, Path(254, 12, 32, (NextHop(WG, weight=3),))])
CHANGES = st.lists(st.tuples(ENTRIES, st.sampled_from(RouteChangeKind), PATHS, st.booleans()), min_size=1, max_size=6)
Change = tuple[tuple[Path, ...], RouteChangeKind, Path, bool]


def everything(_: Path) -> bool:
    return True


@given(CHANGES)
def test_a_step_remembers_nothing(changes: list[Change]) -> None:
    """Whatever steps and doubts came before, a step has the same outcome: it may be remembered by its inputs."""
    worn = Steps(everything)
    for before, kind, path, v6 in changes:
        fresh = Steps(everything).after(before, kind, path, v6=v6)
        assert worn.after(before, kind, path, v6=v6) == fresh
        assert worn.after(before, kind, path, v6=v6) == fresh


@given(ENTRIES, PATHS, st.booleans())
def test_what_is_in_order_stays_in_order(before: tuple[Path, ...], path: Path, v6: bool) -> None:
    """The outcome of a step is in the order that a dump is put into, and ordering again changes nothing."""
    for kind in RouteChangeKind:
        after, _ = Steps(everything).after(in_order(before), kind, path, v6=v6)
        assert in_order(after) == after
    assert sorted(in_order(before), key=repr) == sorted(before, key=repr)


@given(PATHS, st.booleans())
def test_nothing_comes_of_what_does_not_matter(path: Path, v6: bool) -> None:
    """At a prefix of which nothing is held, an irrelevant route leaves neither a path nor a doubt."""
    for kind in RouteChangeKind:
        assert Steps(lambda _: False).after((), kind, path, v6=v6) == ((), False)
    assert Steps(everything).after((), DELETED, path, v6=v6) == ((), False)


def test_a_doubt_is_of_its_step() -> None:
    """After a step in doubt the next one is certain, if it is so by itself."""
    one, two, three = (Path(254, 12, 32, (hop,)) for hop in HOPS)
    steps = Steps(everything)
    assert steps.after((one, two), REPLACED, three, v6=False) == ((three, two), True)
    assert steps.after((), ADDED, one, v6=False) == ((one,), False)


def test_one_path_stands_for_itself() -> None:
    """An entry is a path, several in a tuple, or nothing."""
    one, two, _ = (Path(254, 12, 32, (hop,)) for hop in HOPS)
    assert paths_of(None) == ()
    assert paths_of(one) == (one,)
    assert paths_of((two, one)) == (two, one)
