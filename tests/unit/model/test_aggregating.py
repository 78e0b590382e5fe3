"""Aggregation in the engine: the rules decide, fewer AllowedIPs stand for it, and no address notices."""

from __future__ import annotations

import pytest

from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.policy import Accept, PeerPolicy, Pinned, Policy
from peerway.model.selection import Reason
from tests.harness.memory import MemoryDevice
from tests.harness.site import Site, gateway, key, via

A, B, C = key(1), key(2), key(3)
HALVES = px.parse("10.0.0.0/24"), px.parse("10.0.1.0/24")
NET = px.parse("10.0.0.0/23")


def site(policy: Policy | None = None) -> Site:
    return Site(policy=policy or Policy(aggregate=True))


def learned(site: Site) -> dict[str, PublicKey]:
    """The device's AllowedIPs without derived addresses."""
    return {px.text(p): peer for p, peer in site.device.map.items() if p not in map(gateway, site.peers)}


async def test_neighbours_become_one_and_come_apart() -> None:
    """Two halves of one peer are one AllowedIP; when a half moves, the other stays where it is."""
    made = site()
    for half in HALVES:
        made.table.user_add(half, via(A))
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A}
    made.table.user_delete(HALVES[1], via(A))
    made.table.user_add(HALVES[1], via(B))
    await made.settle()
    owners = [learned(made).get(px.text(half), learned(made).get("10.0.0.0/23")) for half in HALVES]
    assert owners == [A, B]
    assert len(learned(made)) == 2
    for half, peer in zip(HALVES, (A, B), strict=True):
        made.table.user_delete(half, via(peer))
    await made.settle()
    assert learned(made) == {}
    assert made.interface.counts[A] == made.interface.counts[B] == 0


async def test_derived_addresses_and_pins_stand_as_they_are() -> None:
    """What somebody pinned inside is neither covered up nor taken away, and each gateway has its own AllowedIP."""
    made = site()
    pin = px.parse("10.0.1.128/25")
    made.device.map[pin] = C
    for half in HALVES:
        made.table.user_add(half, via(A))
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A, "10.0.1.128/25": C}
    assert all(made.device.map[gateway(peer)] == peer for peer in made.peers)
    del made.device.map[pin]
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A}


async def test_an_entry_that_others_took_is_theirs_and_one_that_they_removed_comes_back() -> None:
    """Whoever pins the aggregated prefix has it; the routes inside get entries of their own again."""
    made = site()
    for half in HALVES:
        made.table.user_add(half, via(A))
    await made.settle()
    del made.device.map[NET]
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A}
    made.device.map[NET] = C
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": C, "10.0.0.0/24": A, "10.0.1.0/24": A}
    assert made.interface.pinned(NET) == C


@pytest.mark.parametrize("half", HALVES)
async def test_of_several_peers_the_present_one_stays_over_a_restart(half: int) -> None:
    """Rule 3 goes on where only the aggregated prefix tells who had it."""
    made = site()
    for each in HALVES:
        made.table.user_add(each, via(B))
    await made.settle()
    made.table.user_add(px.Prefix(half), via(A, B, metric=16))
    made.table.user_delete(px.Prefix(half), via(B))
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": B}
    made.start()
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": B}


async def test_limits_and_accept_lists_speak_of_routes() -> None:
    """Three routes that are one AllowedIP are three prefixes; what is over the limit is refused until one goes."""
    accept = (Accept.parse("10.0.0.0/8 le 25"),)
    policy = Policy(aggregate=True, max_prefixes=2, peers={A: PeerPolicy("a", accept)})
    made = site(policy)
    for text in ("10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/25", "192.0.2.0/24"):
        made.table.user_add(px.parse(text), via(A))
    await made.settle()
    assert made.interface.counts[A] == 2
    assert made.interface.notes[px.parse("192.0.2.0/24")].refused == ((A, Reason.NOT_ACCEPTED),)
    assert [note.refused for note in made.interface.notes.counts() if (A, Reason.LIMIT) in note.refused] != []
    made.table.user_delete(px.parse("10.0.0.0/25"), via(A))
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A}


async def test_a_pinned_prefix_that_yields_comes_back() -> None:
    """The route takes the very prefix from its pinned peer, whatever covers it, and gives it back."""
    made = site(Policy(aggregate=True, pinned=Pinned.YIELDS))
    made.device.map[HALVES[0]] = C
    await made.settle()
    for prefix in (NET, *HALVES):
        made.table.user_add(prefix, via(A))
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A, "10.0.0.0/24": A}
    made.table.user_delete(HALVES[0], via(A))
    await made.settle()
    assert learned(made) == {"10.0.0.0/23": A, "10.0.0.0/24": C}


async def test_turned_on_and_off_each_prefix_is_right_again() -> None:
    """A reload that changes the setting goes from one shape to the other, and counts stay those of routes."""
    made = site(Policy())
    for half in HALVES:
        made.table.user_add(half, via(A))
    await made.settle()
    assert learned(made) == {"10.0.0.0/24": A, "10.0.1.0/24": A}
    for aggregate in (True, False):
        made.policy = Policy(aggregate=aggregate)
        made.watcher.set_policies(lambda _: made.policy, 1.0)
        await made.settle()
        assert learned(made) == ({"10.0.0.0/23": A} if aggregate else {"10.0.0.0/24": A, "10.0.1.0/24": A})
        assert made.interface.counts[A] == 2


async def test_no_address_is_at_a_third_peer_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each step on the device an address is where it was or where it shall be, though entries change places."""
    made = site()
    first = {"10.0.0.0/24": B, "10.0.1.0/24": A, "10.0.2.0/24": A, "10.0.3.0/24": A}
    second = {"10.0.0.0/24": B, "10.0.1.0/24": B, "10.0.2.0/24": B, "10.0.3.0/24": A}
    for text, peer in first.items():
        made.table.user_add(px.parse(text), via(peer))
    await made.settle()
    seen: list[dict[px.Prefix, PublicKey]] = []
    apply = MemoryDevice.apply

    async def watched(device: MemoryDevice, delta: object) -> object:
        done = await apply(device, delta)  # type: ignore[arg-type]
        seen.append(dict(device.map))
        return done

    monkeypatch.setattr(MemoryDevice, "apply", watched)
    for text, peer in second.items():
        made.table.user_delete(px.parse(text), via(first[text]))
        made.table.user_add(px.parse(text), via(peer))
    await made.settle()
    assert len(seen) > 1
    for held in seen:
        for text, former in first.items():
            around = [p for p in held if px.contains(p, px.parse(text))]
            assert held[max(around, key=px.length)] in (former, second[text])
