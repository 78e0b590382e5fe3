"""Verify in memory: nothing to say while all is in step, and one sentence for each thing that is not."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerway.backends.names import Names
from peerway.control import drift as module
from peerway.control.api import Drift, UnknownError
from peerway.control.drift import verify
from peerway.control.views import Views
from peerway.model import prefix as px
from peerway.model.link import Address, Link
from peerway.model.policy import PeerPolicy, Pinned, Policy
from peerway.model.route import NextHop, Path
from tests.harness.memory import Fate, MemoryDevice, MemoryTable
from tests.harness.scene import NETS, Scene
from tests.harness.site import OTHER, WG, Site, gateway, key, via
from tests.harness.small import disown

A, B, C = key(1), key(2), key(3)
NET, PINNED = px.parse("10.9.0.0/24"), px.parse("192.0.2.0/24")
HERE = gateway(key(100))
POLICY = Policy(peers={A: PeerPolicy("berlin"), B: PeerPolicy("paris")})


@pytest.fixture
async def site() -> Site:
    """Routes, pinned prefixes and derived addresses, all in step; berlin and paris have names, C has none."""
    site = Site(policy=POLICY)
    site.table.user_add(NET, via(A))
    site.device.map[PINNED] = B
    await site.settle()
    return site


async def drift(site: Site, name: str | None = None) -> Drift:
    views = Views(site.world, site.engine.council, Names())
    return await verify(views, site.table, dict(site.devices.present), name)


async def told(site: Site) -> list[str]:
    return (await drift(site)).differences


async def test_in_step_there_is_nothing_to_tell(site: Site) -> None:
    """Every relevant route and every AllowedIP is checked, and no difference is found."""
    site.table.user_add(NET, Path(254, 4, 9, (NextHop(OTHER),)))  # not by WireGuard: not looked at
    found = await drift(site)
    assert found.differences == []
    assert len(site.device.map) == 5  # three derived, one learned, one pinned
    assert found.checked == 2 + 5


async def test_a_world_without_interfaces_is_in_step() -> None:
    """Before there is anything, nothing differs."""
    site = Site()
    del site.table.all_links[WG]
    await site.settle()
    assert await drift(site) == Drift([], 0)


async def test_a_route_that_no_notification_told_of(site: Site) -> None:
    """A route in the kernel that memory has not is one sentence, and so is one that is gone or another."""
    site.table.all[px.parse("10.10.0.0/16")] = [via(C)]
    assert await told(site) == ["routes: 10.10.0.0/16 in the kernel is not what peerway holds"]
    del site.table.all[px.parse("10.10.0.0/16")]
    site.table.all[NET] = [via(C)]
    assert await told(site) == ["routes: 10.9.0.0/24 in the kernel is not what peerway holds"]
    del site.table.all[NET]
    assert await told(site) == ["routes: 10.9.0.0/24 in the kernel is not what peerway holds"]


async def test_a_prefix_that_somebody_gave_to_another(site: Site) -> None:
    """WireGuard and memory name two peers: by their names, or by the beginning of the key."""
    site.device.map[PINNED] = C
    assert await told(site) == [f"wg0: 192.0.2.0/24 is at {C.short} in WireGuard, at paris in peerway's memory"]


async def test_a_prefix_that_is_new_or_gone_in_wireguard(site: Site) -> None:
    """Where one side has nobody, it says nobody."""
    del site.device.map[PINNED]
    site.device.map[px.parse("198.51.100.0/24")] = A
    assert await told(site) == [
        "wg0: 192.0.2.0/24 is at nobody in WireGuard, at paris in peerway's memory",
        "wg0: 198.51.100.0/24 is at berlin in WireGuard, at nobody in peerway's memory",
    ]


async def test_what_the_ledger_has_and_wireguard_has_not(site: Site) -> None:
    """A learned prefix that was moved away is told twice: memory differs, and the ledger claims what is not ours."""
    site.device.map[NET] = C
    assert await told(site) == [
        f"wg0: 10.9.0.0/24 is at {C.short} in WireGuard, at berlin in peerway's memory",
        "wg0: the ledger has 10.9.0.0/24 as given to berlin, WireGuard has not",
    ]


async def test_a_prefix_that_could_not_be_given(site: Site) -> None:
    """What the device refused is wanted at its peer, and is at nobody."""
    refused = px.parse("10.11.0.0/16")
    site.device.refuse.add(refused)
    site.table.user_add(refused, via(B))
    await site.settle()
    assert await told(site) == ["wg0: 10.11.0.0/16 should be at paris, and is at nobody"]


async def test_a_prefix_that_is_held_and_not_wanted(site: Site) -> None:
    """What no claim names, and ours has all the same, should be at nobody."""
    site.world.rib.load([])
    assert "wg0: 10.9.0.0/24 should be at nobody, and is at berlin" in await told(site)


async def test_a_displaced_prefix_that_is_missing() -> None:
    """A pin that waits in the ledger for a route that is gone is looked at, also when nobody holds the prefix."""
    site = Site(policy=replace(POLICY, pinned=Pinned.YIELDS))
    site.device.map[NET] = B
    site.table.user_add(NET, via(A))
    await site.settle()
    assert await told(site) == []
    del site.device.map[NET]
    disown(site.interface, NET)
    del site.interface.held[NET]
    site.world.rib.load([])
    site.table.all.clear()
    found = await told(site)
    assert "wg0: 10.9.0.0/24 should be at paris, and is at nobody" in found


async def test_a_derived_address_that_a_peer_has_not(site: Site) -> None:
    """A gateway that is wanted and held by nobody is found though no route and no pin names it."""
    disown(site.interface, gateway(C))
    del site.interface.held[gateway(C)]
    del site.device.map[gateway(C)]
    assert await told(site) == [f"wg0: {px.text(gateway(C))} should be at {C.short}, and is at nobody"]


async def test_a_route_of_ours_whose_place_is_taken(site: Site) -> None:
    """A foreign route where ours should be: ours is not as it should be."""
    taken = px.parse("198.51.100.0/24")
    site.table.user_add(taken, Path(254, 4, 4096, (NextHop(WG, gateway(A)),)))
    site.device.map[taken] = B
    await site.settle()
    assert await told(site) == ["wg0: peerway's own route to 198.51.100.0/24 is not as it should be"]


async def test_a_derived_address_that_is_not_assigned(site: Site) -> None:
    """The interface's own address is compared with those on the interface, not with others' elsewhere."""
    site.world.addresses = {Address(OTHER, HERE, 64)}
    assert await told(site) == [f"wg0: the derived address {px.address_text(HERE)} is not assigned"]


async def test_only_the_named_interface_is_looked_at(site: Site) -> None:
    """With a name one device is read, and without a name each of them."""
    other = MemoryDevice(site.fate, "wg1", 8, key(101))
    site.devices.present[8] = other
    site.table.set_link(Link(8, "wg1", "wireguard", up=True))
    await site.settle()
    site.device.map[PINNED], site.device.busy = A, True
    assert (await drift(site, "wg1")).differences == []
    site.device.busy = False
    assert [text.split(":")[0] for text in (await drift(site, "wg0")).differences] == ["wg0"]
    assert [text.split(":")[0] for text in (await drift(site)).differences] == ["wg0"]


async def test_an_unknown_interface_is_an_error(site: Site) -> None:
    """The sentence names what was asked for and what there is."""
    with pytest.raises(UnknownError, match="no WireGuard interface is called 'wg9'; there is: wg0"):
        await drift(site, "wg9")


async def test_a_device_that_does_not_answer_is_an_error(site: Site) -> None:
    """A reading that fails is no agreement."""
    site.device.busy = True
    with pytest.raises(OSError, match="busy") as caught:
        await drift(site)
    assert caught.value.errno == errno.EBUSY


# many


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_every_prefix_is_told_as_if_it_were_alone(seed: int, size: int) -> None:
    """In any state, in slices of any size, the differences are those that each prefix has by itself."""
    scene = Scene(seed)
    interface, council, world = scene.interface, scene.council, scene.world
    astray = {prefix: scene.dice.choice([A, B, C]) for prefix in NETS if scene.dice.random() < 0.1}
    interface.ledger.ours.update(astray)
    interface.recount()
    device = MemoryDevice(Fate(), "wg0", WG, key(100))
    device.map = {prefix: A if scene.dice.random() < 0.2 else peer for prefix, peer in interface.held.items()}
    table = MemoryTable(Fate())
    table.all = {prefix: [*world.rib.paths(prefix)] for prefix in NETS if scene.dice.random() < 0.9}
    views = Views(world, council, Names())
    expected = list[str]()
    for prefix in {*NETS, *interface.gateways.derived}:
        text = px.text(prefix)
        seen, held, mine = device.map.get(prefix), interface.held.get(prefix), interface.ledger.ours.get(prefix)
        if set(filter(world.is_relevant, table.all.get(prefix, []))) != set(world.rib.paths(prefix)):
            expected.append(f"routes: {text} in")
        expected += [f"wg0: {text} is at"] * (seen != held)
        expected += [f"wg0: the ledger has {text} as"] * (mine not in (None, seen))
        expected += [f"wg0: {text} should be"] * (council.verdict(interface, prefix).owner != held)
        wanted, there = council.routes(interface, prefix), world.own_routes(interface, prefix)
        expected += [f"wg0: peerway's own route to {text} is"] * (set(wanted) != set(there))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE", size)
        found = asyncio.run(verify(views, table, {WG: device}, None))
    told = [sentence for sentence in found.differences if "is not assigned" not in sentence]
    assert len(told) == len(expected)
    for beginning in expected:
        assert len([sentence for sentence in told if sentence.startswith(beginning)]) == 1, beginning


async def test_of_many_differences_the_first_are_told_and_the_number_of_the_rest(site: Site) -> None:
    """However many prefixes differ, the answer stays of a size that somebody reads, and says how many there are."""
    many = [px.parse(f"100.{number >> 8}.{number & 255}.0/24") for number in range(3000)]
    site.device.map.update(dict.fromkeys(many, A))
    found = (await drift(site)).differences
    assert len(found) == module.LISTED + 1
    assert found[0] == "wg0: 100.0.0.0/24 is at berlin in WireGuard, at nobody in peerway's memory"
    assert found[-1] == "wg0: and 2000 prefixes more are not in WireGuard as peerway has them"
    for prefix in many:
        site.table.all[prefix] = [via(A)]
    found = (await drift(site)).differences
    assert "routes: and 2000 prefixes more are not what peerway holds" in found
    site.device.refuse = set(many)
    site.device.map = {prefix: peer for prefix, peer in site.device.map.items() if prefix not in many}
    site.watcher.look_again()
    await site.settle()
    found = (await drift(site)).differences
    assert len(found) == module.LISTED + 1
    assert found[-1] == "wg0: and 2000 prefixes more are not as they should be"


async def test_others_have_their_turn_between_slices(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long comparison is in slices, and after each whoever waits is let in."""
    many = [px.parse(f"10.{number >> 8}.{number & 255}.0/24") for number in range(2000)]
    for prefix in many:
        site.table.user_add(prefix, via(A))
    await site.settle()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(module, "SLICE", 100)
    monkeypatch.setattr(module, "MOMENT", 0.0)
    waiting = asyncio.create_task(other())
    assert await told(site) == []
    waiting.cancel()
    assert turns > 2 * len(many) // 100


async def test_aggregation_is_computed_anew() -> None:
    """An entry that is not what the routes make, and a prefix that was given amiss, are told."""
    site = Site(policy=Policy(aggregate=True, peers=POLICY.peers))
    for text in ("10.9.0.0/24", "10.9.1.0/24"):
        site.table.user_add(px.parse(text), via(A))
    await site.settle()
    assert site.device.map.keys() >= {px.parse("10.9.0.0/23")}
    assert await told(site) == []
    state = site.interface.aggregated
    assert state is not None
    state.entries[NET] = B
    assert "wg0: 10.9.0.0/24 is not what aggregation makes of the routes" in await told(site)
    del state.entries[NET]
    state.given[NET] = B
    assert "wg0: 10.9.0.0/24 is not given to whom its routes name" in await told(site)
