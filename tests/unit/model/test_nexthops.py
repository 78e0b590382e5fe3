"""Nexthop objects: where routes that name one go at this moment, and which ids a change concerns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model.nexthops import Nexthops
from peerway.model.route import NextHop, NexthopChange, NexthopObject, Path
from tests.harness.site import OTHER, WG, gateway, key

SINGLE, GROUPS = (1, 2, 3), (8, 9)
HOPS = [NextHop(WG, gateway(key(1))), NextHop(WG, gateway(key(2))), NextHop(OTHER)]

Objects = dict[int, NexthopObject]


@st.composite
def singles(draw: st.DrawFn) -> NexthopObject:
    """One next hop, or a blackhole."""
    return NexthopObject(draw(st.sampled_from(SINGLE)), draw(st.sampled_from([*HOPS, None])))


@st.composite
def groups(draw: st.DrawFn) -> NexthopObject:
    """A group of some of them."""
    members = draw(st.lists(st.sampled_from(SINGLE), min_size=1, max_size=3, unique=True))
    return NexthopObject(draw(st.sampled_from(GROUPS)), None, tuple((m, draw(st.integers(1, 3))) for m in members))


OBJECTS = st.lists(singles() | groups(), max_size=8).map(lambda items: {item.id: item for item in items})
CHANGES = st.lists(
    (singles() | groups()).map(lambda item: NexthopChange(item.id, item))
    | st.sampled_from(SINGLE + GROUPS).map(lambda id_: NexthopChange(id_, None)),
    max_size=10,
)


def path(id_: int) -> Path:
    return Path(254, 12, 0, nexthop_id=id_)


def meanings(nexthops: Nexthops) -> dict[int, tuple[NextHop, ...]]:
    """Where each id leads now."""
    return {id_: nexthops.resolve(path(id_)) for id_ in SINGLE + GROUPS}


def naive(objects: Objects, id_: int) -> list[NextHop]:
    """The same by hand: the object itself, or the members of a group with their weights."""
    item = objects.get(id_)
    if item is None:
        return []
    if item.nexthop is not None:
        return [item.nexthop]
    there = [(objects[member].nexthop, weight) for member, weight in item.group if member in objects]
    return [NextHop(hop.ifindex, hop.gateway, weight) for hop, weight in there if hop is not None]


@given(OBJECTS)
def test_ids_lead_where_the_objects_point(objects: Objects) -> None:
    """An id leads to its object's next hop, a group to those of its members; the unknown and blackholes to none."""
    nexthops = Nexthops()
    nexthops.load(objects)
    for id_ in SINGLE + GROUPS:
        assert list(nexthops.resolve(path(id_))) == naive(objects, id_)


@given(OBJECTS, CHANGES)
def test_a_change_names_each_id_that_leads_elsewhere(objects: Objects, changes: list[NexthopChange]) -> None:
    """Whatever comes or goes: an id whose next hops differ afterwards was returned, and equal news return none."""
    nexthops = Nexthops()
    nexthops.load(objects)
    for change in changes:
        before = meanings(nexthops)
        concerned = nexthops.apply(change)
        after = meanings(nexthops)
        assert {id_ for id_ in before if before[id_] != after[id_]} <= concerned
        assert nexthops.apply(change) == set()


@given(OBJECTS, OBJECTS)
def test_a_dump_names_each_id_that_leads_elsewhere(old: Objects, new: Objects) -> None:
    """Loading returns at least the ids that lead elsewhere, and nothing if nothing changed."""
    nexthops = Nexthops()
    nexthops.load(old)
    before = meanings(nexthops)
    concerned = nexthops.load(new)
    assert {id_ for id_, hops in meanings(nexthops).items() if hops != before[id_]} <= concerned
    assert nexthops.load(new) == set()


@given(OBJECTS, st.sampled_from(SINGLE))
def test_a_deleted_object_leaves_its_groups(objects: Objects, gone: int) -> None:
    """No group names an object that was deleted, so one of the same id that comes later is not in them."""
    nexthops = Nexthops()
    nexthops.load(objects | {gone: NexthopObject(gone, HOPS[1])})
    nexthops.apply(NexthopChange(gone, None))
    nexthops.apply(NexthopChange(gone, NexthopObject(gone, HOPS[0])))
    assert all(gone not in dict(item.group) for item in nexthops.objects.values())


def test_a_path_without_an_object_leads_where_it_says() -> None:
    """Objects have no say in routes that name none."""
    assert Nexthops().resolve(Path(254, 12, 0, tuple(HOPS))) == tuple(HOPS)


def test_the_dump_stays_the_callers() -> None:
    """A later change does not reach into the dictionary that was loaded."""
    objects = {1: NexthopObject(1, HOPS[0])}
    nexthops = Nexthops()
    nexthops.load(objects)
    nexthops.apply(NexthopChange(1, None))
    assert 1 in objects
