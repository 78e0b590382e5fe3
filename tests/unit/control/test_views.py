"""What is told of a site: the shapes of the JSON, counts that agree with the entries, and no secret."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerway.backends.names import Names
from peerway.control.api import Json, UnknownError, UnusableError
from peerway.control.views import Views
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.device import Peer
from peerway.model.keys import PublicKey
from peerway.model.policy import Accept, PeerPolicy, Pinned, Policy
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path
from tests.harness.site import WG, Site, gateway, key, via

A, B, C = key(1), key(2), key(3)
NETS = [px.parse(f"10.{number}.0.0/16") for number in range(4)]
NET = NETS[0]
NAMED = Policy(peers={A: PeerPolicy("berlin"), B: PeerPolicy("paris", (Accept.parse("10.0.0.0/8 le 24"),))})

STATUS = {"name", "backend", "public_key", "state", "counts", "peers"}
COUNTS = {"learned", "pinned", "derived", "shadowed", "refused", "unresolved"}
PEER = {"name", "public_key", "gateways", "endpoint", "latest_handshake", "rx_bytes", "tx_bytes", "learned"}
ROUTE = {
    "interface", "prefix", "origin", "owner", "owner_name", "gateway",
    "table", "protocol", "metric", "shadowed", "refused",
}  # fmt: skip


def views(site: Site) -> Views:
    return Views(site.world, site.engine.council, Names(), lambda: 0.0)


async def settled(policy: Policy | None = None) -> Site:
    site = Site(policy=policy)
    await site.settle()
    return site


def entry(site: Site, prefix: Prefix) -> Json:
    found: Json
    (found,) = [item for item in map(json.loads, views(site).routes(None)) if item["prefix"] == px.text(prefix)]
    return found


async def test_status_has_the_shape_of_the_design() -> None:
    """Exactly these keys, in values that JSON has; what is not known is null."""
    site = Site(policy=NAMED)
    site.device.peers[A] = Peer(A, "192.0.2.1:51820", 1_795_341_600_000_000_000, 5, 6, 25, b"digest-of-psk")
    site.table.user_add(NET, via(A))
    await site.settle()
    status = views(site).status(None, None)
    assert status.keys() == {"version", "interfaces"}
    assert status["version"] == 1
    (told,) = status["interfaces"]
    assert told.keys() == STATUS
    assert told["counts"].keys() == COUNTS
    assert all(peer.keys() == PEER for peer in told["peers"])
    assert (told["name"], told["backend"], told["public_key"], told["state"]) == (
        "wg0", "kernel", str(key(100)), "in-sync",
    )  # fmt: skip
    assert told["peers"][0] == {
        "name": "berlin",
        "public_key": str(A),
        "gateways": [px.address_text(gateway(A))],
        "endpoint": "192.0.2.1:51820",
        "latest_handshake": "2026-11-22T10:00:00Z",
        "rx_bytes": 5,
        "tx_bytes": 6,
        "learned": 1,
    }
    assert [told["peers"][2][name] for name in ("name", "endpoint", "latest_handshake")] == [None] * 3
    assert "digest" not in json.dumps(status)


async def test_routes_have_the_shape_of_the_design() -> None:
    """Exactly these keys, for what is learned, pinned and derived; a reason only where there is one."""
    site = Site(policy=NAMED)
    site.table.user_add(NET, via(A))
    site.device.map[NETS[1]] = C
    site.table.user_add(NETS[2], via(key(9)))
    await site.settle()
    told = list(map(json.loads, views(site).routes("wg0")))
    assert [item.keys() - {"reason"} for item in told] == [ROUTE] * len(told)
    assert entry(site, NET) == {
        "interface": "wg0",
        "prefix": "10.0.0.0/16",
        "origin": "learned",
        "owner": str(A),
        "owner_name": "berlin",
        "gateway": px.address_text(gateway(A)),
        "table": "main",
        "protocol": "bird",
        "metric": 32,
        "shadowed": [],
        "refused": [],
    }
    pinned, unresolved = entry(site, NETS[1]), entry(site, NETS[2])
    assert (pinned["origin"], pinned["owner"], pinned["owner_name"]) == ("pinned", str(C), None)
    assert pinned["gateway"] == px.address_text(gateway(C))
    assert (unresolved["origin"], unresolved["owner"], unresolved["gateway"]) == ("unresolved", None, None)
    assert unresolved["reason"] == f"the gateway {px.address_text(gateway(key(9)))} names no peer"
    assert entry(site, gateway(A))["origin"] == "derived"


async def test_who_is_shadowed_and_refused_is_told_with_the_prefix() -> None:
    """The losers of a prefix stand in its entry, with their reasons; a refused prefix has no owner."""
    site = Site(policy=NAMED)
    site.device.map[NET] = C
    site.table.user_add(NET, via(A))
    site.table.user_add(px.parse("192.0.2.0/24"), via(B))
    await site.settle()
    assert entry(site, NET)["shadowed"] == [{"peer": str(A), "reason": "the prefix is pinned to another peer"}]
    refused = entry(site, px.parse("192.0.2.0/24"))
    assert (refused["origin"], refused["owner"]) == ("refused", None)
    assert refused["refused"] == [{"peer": str(B), "reason": "the peer's accept list does not have the prefix"}]


PINS = st.dictionaries(st.sampled_from(NETS), st.sampled_from([A, B, C]))
ROUTES = st.dictionaries(
    st.sampled_from([*NETS, gateway(A)]),
    st.sampled_from([via(A), via(B), via(C), via(A, B), via(key(9)), Path(254, 12, 0, (NextHop(WG),))]),
)


@settings(max_examples=30)
@given(PINS, ROUTES, st.sampled_from(Pinned), st.sampled_from([0, 1]), st.sets(st.sampled_from(NETS)))
def test_the_counts_agree_with_the_entries(
    pins: dict[Prefix, PublicKey], routes: dict[Prefix, Path], pinned: Pinned, limit: int, broken: set[Prefix]
) -> None:
    """Counting the entries of `routes` gives the counts of `status`; displaced pins count as pinned too."""

    async def run() -> Site:
        site = Site(policy=Policy(pinned=pinned, max_prefixes=limit))
        site.device.map |= pins
        site.device.refuse = broken
        for prefix, path in routes.items():
            site.table.user_add(prefix, path)
        await site.settle()
        return site

    site = asyncio.run(run())
    told = list(map(json.loads, views(site).routes(None)))
    (status,) = views(site).status("wg0", None)["interfaces"]
    counts, origins = status["counts"], Counter(item["origin"] for item in told)
    assert counts["learned"] == origins["learned"] == sum(peer["learned"] for peer in status["peers"])
    assert counts["derived"] == origins["derived"]
    assert counts["pinned"] == origins["pinned"] + len(site.interface.ledger.displaced)
    assert counts["shadowed"] == sum(len(item["shadowed"]) for item in told)
    assert counts["refused"] == sum(len(item["refused"]) for item in told) + len(site.interface.failures)
    assert counts["unresolved"] == sum("names" in item.get("reason", "") for item in told)
    assert (status["state"] == "in-sync") == (not site.interface.failures)
    owners = {item["prefix"]: item["owner"] for item in told if item["owner"] is not None}
    assert owners == {px.text(prefix): str(peer) for prefix, peer in site.device.map.items()}


async def test_a_state_that_is_not_good_says_why() -> None:
    """Errors and refused prefixes make it degraded, and are told; the first ten, and how many more."""
    site = await settled()
    site.interface.errors["read"] = "cannot read the device: Device or resource busy"
    health = site.interface.health
    for number in range(12):
        health.refuse(cl.columns([px.parse(f"10.{number}.0.0/16")])[0], "refused", A)
    health.tried([], 0.0)
    (told,) = views(site).status(None, None)["interfaces"]
    assert told["state"] == "degraded"
    assert told["errors"][0] == "cannot read the device: Device or resource busy"
    assert told["errors"][1:] == [
        *(f"10.{number}.0.0/16: refused; tried once, again in 1 s" for number in range(10)),
        "and 2 prefixes more",
    ]
    (peer,) = [item for item in told["peers"] if "failed" in item]
    assert peer["public_key"] == str(A)
    assert peer["failed"] == {"prefixes": 12, "error": "refused", "attempts": 1, "retry_in": 1.0}
    site.interface.errors.clear()
    site.interface.failures.clear()
    site.interface.dirty.add(NET)
    assert views(site).status(None, None)["interfaces"][0]["state"] == "syncing"


async def test_one_failure_is_an_entry_with_its_reason() -> None:
    """A prefix that the device refused is listed though nobody has it, and says what was said."""
    site = Site()
    site.device.refuse = {NET}
    site.table.user_add(NET, via(A))
    await site.settle()
    told = entry(site, NET)
    assert (told["origin"], told["owner"], told["reason"]) == ("refused", None, "refused by the test")


async def test_an_interface_is_asked_for_by_name() -> None:
    """All without a name, one with it, and an unknown one is told with those that there are."""
    site = await settled()
    assert [interface.name for interface in views(site).interfaces(None)] == ["wg0"]
    assert views(site).interface("wg0") is site.interface
    with pytest.raises(UnknownError, match="no WireGuard interface is called 'wg7'; there is: wg0"):
        views(site).status("wg7", None)
    site.world.interfaces.clear()
    with pytest.raises(UnknownError, match="there is: none"):
        list(views(site).routes("wg0"))


async def test_a_peer_is_asked_for_by_name_or_the_beginning_of_its_key() -> None:
    """A name goes before keys; what means none, or several, is told with the cure."""
    site = await settled(NAMED)
    shown = views(site)
    assert shown.peer(site.interface, "berlin") == A
    assert shown.peer(site.interface, str(C)) == shown.peer(site.interface, str(C)[:3]) == C
    with pytest.raises(UnknownError, match="wg0 has no peer 'rome': give a name from the configuration"):
        shown.peer(site.interface, "rome")
    with pytest.raises(UnusableError, match="'A' means 3 peers of wg0: give more of the key"):
        shown.peer(site.interface, "A")
    (told,) = shown.status(None, "berlin")["interfaces"]
    assert [peer["public_key"] for peer in told["peers"]] == [str(A)]


async def test_people_read_names() -> None:
    """A peer is called by its name from the configuration, else by the beginning of its key."""
    site = await settled(NAMED)
    assert views(site).peer_name(site.interface, A) == "berlin"
    assert views(site).peer_name(site.interface, C) == C.short


async def test_aggregated_prefixes_are_told_beside_what_was_given() -> None:
    """Each route's prefix has its entry, those without an AllowedIP say so, and what stands for them is listed."""
    site = Site(policy=Policy(aggregate=True))
    for text in ("10.9.0.0/24", "10.9.1.0/24", "10.9.2.0/24"):
        site.table.user_add(px.parse(text), via(A))
    await site.settle()
    listed = {entry["prefix"]: entry for entry in map(json.loads, views(site).routes(None))}
    told = {prefix: (entry["origin"], entry.get("aggregated", False)) for prefix, entry in listed.items()}
    assert {prefix: what for prefix, what in told.items() if prefix.startswith("10.")} == {
        "10.9.0.0/23": ("aggregated", False),
        "10.9.0.0/24": ("learned", True),
        "10.9.1.0/24": ("learned", True),
        "10.9.2.0/24": ("learned", False),
    }
    assert {entry["owner"] for prefix, entry in listed.items() if prefix.startswith("10.")} == {str(A)}
    counts = views(site).counts(site.interface)
    assert (counts["learned"], counts["aggregated"], counts["derived"], counts["pinned"]) == (3, 2, 3, 0)
