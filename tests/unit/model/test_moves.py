"""Moves: what is sorted out as plain is what the rules say of each prefix alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.moves import moves
from tests.harness.columns import dumped, one
from tests.harness.scene import Scene
from tests.harness.site import via


@given(seed=st.integers(0, 1 << 32))
def test_plain_moves_are_what_the_rules_say(seed: int) -> None:
    """Each prefix is in one heap; who stays is where the verdict says, and who goes goes there from us."""
    scene = Scene(seed, limit=0)
    interface, council, rib = scene.interface, scene.council, scene.world.rib
    if not interface.policy.by_situation:
        return
    for column in interface.dirty.drain():
        found = moves(interface, rib, column, lambda prefix, at: council.decide(interface, prefix, at))
        heaps = [cl.prefixes(heap) for heap in (found.rest, found.stay, found.go)]
        assert sorted(prefix for heap in heaps for prefix in heap) == cl.prefixes(column)
        for prefix in heaps[1] + heaps[2]:
            assert council.routes(interface, prefix) == scene.world.own_routes(interface, prefix)
            assert not council.verdict(interface, prefix).remarkable
        for prefix in heaps[1]:
            assert interface.held[prefix] == interface.ledger.ours[prefix] == council.verdict(interface, prefix).owner
        going = {prefix: owner for owner, part in found.targets(interface) for prefix in cl.prefixes(part)}
        assert going == {prefix: council.verdict(interface, prefix).owner for prefix in heaps[2]}
        leaving = {p: (mine, given) for mine, given, part in found.sources(interface) for p in cl.prefixes(part)}
        assert leaving == {p: (interface.ledger.ours[p], going[p] is not None) for p in heaps[2]}
        assert all(interface.held[prefix] == interface.ledger.ours[prefix] != going[prefix] for prefix in heaps[2])


def test_what_is_not_where_we_put_it_is_no_plain_move() -> None:
    """A prefix of ours that somebody else has by now is decided in the usual way."""
    scene = Scene(0, limit=0)
    interface = scene.interface
    interface.policy = replace(interface.policy, peers={})
    prefix, (owner, other) = px.parse("10.0.0.0/16"), sorted(interface.device.peers)[:2]
    scene.world.rib.load(dumped({prefix: via(owner)}))
    interface.ledger.displaced.clear()
    interface.ledger.ours[prefix] = owner
    for holder, rest in ((owner, []), (other, [prefix])):
        interface.held[prefix] = holder
        found = moves(interface, scene.world.rib, one(prefix), lambda p, at: scene.council.decide(interface, p, at))
        assert cl.prefixes(found.rest) == rest
