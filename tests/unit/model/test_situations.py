"""Situations: prefixes that are alike are decided as one, so each of them must be decided so alone."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.policy import Accept, PeerPolicy, Policy
from peerway.model.situations import FEW, alike, together
from tests.harness.columns import dumped, however_few
from tests.harness.scene import NETS, Scene, everything
from tests.harness.site import WG, gateway, via
from tests.harness.small import A, B, small_world

SEEDS = st.integers(0, 1 << 32)


@given(SEEDS, st.sets(st.sampled_from(NETS)))
def test_the_parts_are_a_partition(seed: int, some: set[px.Prefix]) -> None:
    """Every prefix is in one part, and each part is in order."""
    scene = Scene(seed)
    for column in cl.columns(some):
        parts = [*scene.alike(column)]
        with however_few():
            parts_of_few = [*scene.alike(column)]
        for cut in (parts, parts_of_few):
            found = [cl.prefixes(part) for part in cut]
            assert sorted(prefix for part in found for prefix in part) == cl.prefixes(column)
            assert all(part and part == sorted(part) for part in found)


@given(SEEDS)
def test_prefixes_that_are_alike_are_decided_alike(seed: int) -> None:
    """Asked one by one, the council says the same of all prefixes of a part: verdict, routes, and what there is."""
    scene = Scene(seed)
    with however_few():
        for column in cl.columns(NETS):
            for part in scene.alike(column):
                first, *rest = (everything(scene, prefix) for prefix in cl.each(part))
                assert all(other == first for other in rest)


@given(SEEDS)
def test_a_gateway_is_a_part_of_its_own(seed: int) -> None:
    """What names a peer is decided alone: nobody can learn it, and each is derived from its own key."""
    scene = Scene(seed)
    with however_few():
        parts = [cl.prefixes(part) for column in cl.columns(NETS) for part in scene.alike(column)]
    gateways = set(scene.interface.gateways.addresses)
    assert all(len(part) == 1 for part in parts if gateways & set(part))


def test_many_that_share_all_are_one_part() -> None:
    """A thousand routes by one peer are asked about once, and a few are asked about each."""
    world = small_world("wg0")
    nets = [px.parse(f"10.{one}.{two}.0/24") for one, two in product(range(4), range(250))]
    world.rib.load(dumped(dict.fromkeys(nets, via(A))))
    (column,) = cl.columns(nets)
    assert [len(part) for part in alike(world.interfaces[WG], world.rib, column, lambda _: (A,))] == [1000]
    few = column[:FEW]
    assert [len(part) for part in alike(world.interfaces[WG], world.rib, few, lambda _: (A,))] == [1] * FEW


def test_what_a_list_accepts_is_a_part_and_the_rest_another() -> None:
    """Only lists of peers that claim the prefixes cut them."""
    accept = (Accept.parse("10.0.0.0/15 le 16"),)
    world = small_world("wg0", policy=Policy(peers={A: PeerPolicy("a", accept), B: PeerPolicy("b", ())}))
    nets = [px.parse(f"10.{number}.0.0/16") for number in range(FEW + 1)]
    world.rib.load(dumped(dict.fromkeys(nets, via(A))))
    (column,) = cl.columns(nets)
    parts = [*alike(world.interfaces[WG], world.rib, column, lambda _: (A,))]
    assert sorted(map(cl.prefixes, parts)) == [nets[:2], nets[2:]]
    assert len([*alike(world.interfaces[WG], world.rib, column, lambda _: (B,))]) == 1
    assert len([*alike(world.interfaces[WG], world.rib, column, lambda _: (A, B))]) == 2


def test_sorts_of_prefixes_are_told_apart() -> None:
    """A default, a host and a link-local prefix are no part of the nets beside them, if nothing is known of any."""
    nets = [px.parse(text) for text in ("2001:db8::/32", "2001:db8:1::/48", "::/0", "fe80::/64", "fe80:1::/64")]
    hosts = [px.parse("2001:db8::1"), px.parse("fe80::1"), gateway(A)]
    world = small_world("wg0")
    (column,) = cl.columns(nets + hosts)
    with however_few():
        parts = [set(cl.prefixes(part)) for part in alike(world.interfaces[WG], world.rib, column, lambda _: ())]
    assert sorted(map(sorted, parts)) == sorted(
        map(sorted, ([nets[0], nets[1]], [nets[2]], [nets[3], nets[4]], [hosts[0]], [hosts[1]], [hosts[2]]))
    )


CODES = st.sampled_from([0, 1, 2, 3, 1 << 15, (1 << 16) + 1, (1 << 31) - 1])


@example([(0, *[(1 << 31) - 1] * 4), (2, *[(1 << 31) - 1] * 4)], 4)  # more than one number of 64 bits can hold
@given(st.lists(st.tuples(*[CODES] * 5), min_size=1, max_size=30), st.integers(1, 5))
def test_each_combination_has_its_own_number(rows: list[tuple[int, ...]], width: int) -> None:
    """However large the codes are, two rows have one number exactly if they are equal."""
    rows = [row[:width] for row in rows]
    numbers = together([np.array(column, np.int32) for column in zip(*rows, strict=True)]).tolist()
    assert len(set(zip(rows, numbers, strict=True))) == len(set(rows)) == len(set(numbers))
