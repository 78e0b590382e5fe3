"""Listings: the same entry for a prefix as alone, in order, made one by one, whatever changes meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerway.backends.names import Names
from peerway.control import entries
from peerway.control.api import Json
from peerway.control.entries import PAGE, Entries
from peerway.control.views import Views
from peerway.features.council import Council
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.health import Failure
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.pages import pages
from peerway.model.policy import PeerPolicy, Policy
from peerway.model.prefix import Prefix
from peerway.model.route import RouteColumns
from peerway.model.table import Table
from peerway.model.world import World
from tests.harness.scene import NETS, Scene
from tests.harness.site import WG, gateway, via
from tests.harness.small import A, B, own, small_world
from tests.harness.wg_strategies import PREFIXES

COUNT = 100_000


def views(world: World) -> Views:
    return Views(world, Council(world), Names())


def eventful(seed: int) -> Scene:
    """A scene in which some prefixes have notes and failures, whether or not anybody holds them."""
    scene = Scene(seed)
    dice, interface = scene.dice, scene.interface
    noted = [prefix for prefix in NETS if dice.random() < 0.5]
    interface.notes.update({prefix: scene.council.verdict(interface, prefix) for prefix in noted})
    interface.failures.update(
        {prefix: Failure(dice.choice(("busy", "full"))) for prefix in NETS if dice.random() < 0.1}
    )
    return scene


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_an_entry_is_what_is_told_of_the_prefix_alone(seed: int, page: int) -> None:
    """In any state, in pages of any size, the listing has each prefix once, in order, as `route` tells it."""
    scene = eventful(seed)
    shown, interface = views(scene.world), scene.interface
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "PAGE", page)
        listed = list(shown.routes(None))
    prefixes = sorted({*interface.held, *interface.notes, *interface.failures})
    assert listed == [json.dumps(shown.route(interface, prefix)) for prefix in prefixes]


@pytest.fixture
def large() -> World:
    """A hundred thousand learned prefixes of two peers, on one interface."""
    world = small_world("wg0")
    interface = world.interfaces[WG]
    column = (np.arange(COUNT, dtype=np.uint64) << np.uint64(16)) + np.uint64(0x0A << 32 | 24)
    codes = np.arange(COUNT, dtype=np.int32) % 2
    world.rib.load([RouteColumns(column, codes, [via(A), via(B)], None)])
    groups: list[tuple[PublicKey | None, cl.Column]] = [(A, column[codes == 0]), (B, column[codes == 1])]
    interface.held.put_groups(groups)
    interface.ledger.ours.put_groups(groups)
    interface.recount()
    return world


def test_a_listing_is_made_as_it_is_read(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads ten entries of many has a page looked up; and two situations make two texts, not one per entry."""
    looked_up, made = list[int](), list[object]()
    names, rest = entries.names, Entries.rest

    def looking(column: cl.Column) -> list[str]:
        looked_up.append(len(column))
        return names(column)

    def making(self: Entries, interface: Interface, situation: entries.Situation) -> Json:
        made.append(situation)
        return rest(self, interface, situation)

    monkeypatch.setattr(entries, "names", looking)
    monkeypatch.setattr(Entries, "rest", making)
    listing = views(large).routes("wg0")
    assert len(list(islice(listing, 10))) == 10
    assert looked_up == [PAGE]
    assert sum(1 for _ in listing) == COUNT - 10
    assert len(made) == 2


def prefixes(listing: Iterator[str]) -> list[str]:
    return [json.loads(text)["prefix"] for text in listing]


def test_what_comes_and_goes_meanwhile_does_no_harm(large: World) -> None:
    """What has gone before its turn is left out, what came since is not told, and every other entry is as it is now."""
    interface, shown = large.interfaces[WG], views(large)
    listing = shown.routes(None)
    first = next(listing)
    column = interface.held.columns()[0]
    gone, moved = column[COUNT // 2 : COUNT // 2 + 1000], column[COUNT // 2 + 1000 : COUNT // 2 + 2000]
    for table in (interface.held, interface.ledger.ours):
        table.put(gone, None)
        table.put(moved, B)
    large.rib.load([RouteColumns(moved, np.zeros(len(moved), np.int32), [via(B, metric=7)], None)])
    interface.held[px.parse("198.51.100.0/24")] = A
    told = {entry["prefix"]: entry for entry in map(json.loads, [first, *listing])}
    assert len(told) == COUNT - 1000
    assert px.text(cl.first(gone)) not in told
    for prefix in (cl.first(moved), cl.first(column[-1:])):
        assert told[px.text(prefix)] == shown.route(interface, prefix)
    assert (told[px.text(cl.first(moved))]["owner"], told[px.text(cl.first(moved))]["metric"]) == (str(B), 7)


def test_a_new_policy_is_told_from_the_next_page_on(large: World) -> None:
    """What a situation's text depends on changes in the middle: no text from before is used again."""
    interface, shown = large.interfaces[WG], views(large)
    listing = map(json.loads, shown.routes(None))
    assert next(listing)["owner_name"] is None
    interface.policy = Policy(peers={A: PeerPolicy("berlin"), B: PeerPolicy("paris")})
    interface.reselect()
    interface.link = replace(interface.link, name="wg1")
    rest = list(listing)[PAGE:]
    assert {entry["owner_name"] for entry in rest} == {"berlin", "paris"}
    assert {entry["interface"] for entry in rest} == {"wg1"}


def test_a_map_that_was_read_anew_takes_the_old_ones_place(large: World) -> None:
    """The device's map is another object after a reading; the listing goes on with what it says."""
    interface, shown = large.interfaces[WG], views(large)
    listing = shown.routes(None)
    next(listing)
    column = interface.held.columns()[0]
    other: Table[PublicKey] = Table()
    other.put(column[: COUNT // 2], B)
    interface.observe(other)
    told = [json.loads(text) for text in listing][PAGE:]
    assert len(told) == COUNT // 2 - PAGE - 1
    assert {entry["owner"] for entry in told} == {str(B)}


def test_situations_are_not_remembered_without_end(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More situations than are remembered give the same entries; what one is known by lives as long as it does."""
    monkeypatch.setattr(entries, "REMEMBERED", 3)
    interface, shown = large.interfaces[WG], views(large)
    for number in range(2000):
        interface.failures[px.parse(f"203.{number >> 8}.{number & 255}.0/24")] = Failure(f"reason {number}")
    alone = [json.dumps(shown.route(interface, prefix)) for prefix in interface.failures]
    assert list(shown.routes(None))[-2000:] == alone
    listing = entries._Listing(Entries(large, shown.council, shown.names), large, interface)
    told = list[str]()
    for page in pages(interface.failures.columns(), PAGE):
        told += listing.page(page)
        assert 0 < len(listing._told) <= 3 + PAGE
        assert all(name[1:] == tuple(map(id, kept.values)) for name, kept in listing._told.items())
    assert told == alone


ODD = [px.parse(text) for text in ("::ffff:192.0.2.1/128", "::192.0.2.0/124", "::/0", "::1", "2001:db8:0:1::/64")]


@given(st.lists(st.sampled_from(NETS) | PREFIXES))
def test_names_are_those_of_one_prefix(some: list[Prefix]) -> None:
    """Many prefixes have the same text as each alone."""
    for column in cl.columns([*some, *ODD]):
        assert entries.names(column) == [px.text(prefix) for prefix in cl.prefixes(column)]


def test_a_gateway_is_told_as_derived() -> None:
    """A derived address has the origin of its own, in a listing as alone."""
    world = small_world("wg0")
    world.interfaces[WG].held[gateway(A)] = A
    own(world.interfaces[WG], gateway(A), A)
    (told,) = map(json.loads, views(world).routes(None))
    assert (told["prefix"], told["origin"]) == (px.text(gateway(A)), "derived")
