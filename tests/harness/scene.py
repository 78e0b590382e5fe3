"""A world in any state, from a seed: what routes say, what is held, what the ledger has, and what the policy is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from peerway.features.council import Council
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.device import Backend, Device, Peer
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Link
from peerway.model.plan import Plan, plan
from peerway.model.policy import Accept, PeerPolicy, Pinned, Policy
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, NexthopObject, Path
from peerway.model.situations import alike
from peerway.model.table import Table
from peerway.model.world import World
from tests.harness.columns import dumped
from tests.harness.site import OTHER, WG, gateway, key, via

PEERS = [key(number) for number in range(1, 4)]
NETS = [
    *(px.parse(f"10.{number}.0.0/16") for number in range(30)),
    *(px.parse(f"10.1.{number}.0/24") for number in range(10)),
    *(px.parse(f"192.0.2.{number}") for number in range(10)),
    *(px.parse(f"2001:db8:{number:x}::/48") for number in range(30)),
    *(px.parse(f"fd00::{number:x}") for number in range(10)),
    *map(px.parse, ("0.0.0.0/0", "::/0", "fe80::/64", "fe80::/9", "fe80::/10", "fe80:1::/32", "fe80::77", "febf::/16")),
    *(gateway(peer) for peer in PEERS),
]
LISTS = [
    "10.0.0.0/8 le 16",
    "10.1.0.0/16 ge 20",
    "192.0.2.0/28 le 32",
    "2001:db8::/44 le 48",
    "0.0.0.0/0",
    "::/0 le 128",
]
OBJECT, GROUP, GONE = (Path(254, 12, 32, nexthop_id=number) for number in (1, 2, 3))
PATHS = [
    *(via(peer, metric=metric) for peer in PEERS for metric in (32, 64)),
    via(*PEERS[:2]),
    via(*PEERS[1:], weight=2),
    replace(via(PEERS[0]), nexthops=(NextHop(WG, gateway(PEERS[0]), 1), NextHop(WG, gateway(PEERS[1]), 9))),
    replace(via(PEERS[0]), nexthops=(NextHop(WG),)),
    replace(via(PEERS[0]), nexthops=(NextHop(WG, px.parse("192.0.2.3")),)),
    replace(via(PEERS[0]), nexthops=(NextHop(OTHER, px.parse("192.0.2.3")),)),
    via(PEERS[0], protocol=4),
    via(PEERS[1], table=100),
    *(via(peer, protocol=87, metric=4096) for peer in PEERS),
    OBJECT,
    GROUP,
    GONE,
]


class Scene:
    """One interface of which nothing is decided yet. The same seed makes the same scene."""

    def __init__(self, seed: int, *, limit: int | None = None) -> None:
        self.dice = random.Random(seed)
        self.world = World()
        self.world.nexthops.load(
            {1: NexthopObject(1, NextHop(WG, gateway(PEERS[2]))), 2: NexthopObject(2, None, ((1, 1),))}
        )
        peers = self.dice.sample(PEERS, self.dice.choice((2, 3, 3, 3)))
        device = Device("wg0", WG, Backend.KERNEL, key(100), peers={peer: Peer(peer) for peer in peers})
        link = Link(WG, "wg0", "wireguard", up=self.dice.random() < 0.9)
        self.interface = Interface(link, device, self._policy(limit), self.world.nexthops)
        self.world.interfaces[WG] = self.interface
        self.council = Council(self.world)
        self._fill(peers)
        self.world.dirty_all(self.interface)

    def _policy(self, limit: int | None) -> Policy:
        dice = self.dice
        lists = [None if dice.random() < 0.3 else tuple(map(Accept.parse, dice.sample(LISTS, 2))) for _ in PEERS]
        named = {peer: PeerPolicy("", accept) for peer, accept in zip(PEERS, lists, strict=True)}
        return Policy(
            prefixes=(px.parse("fe80::/64"), px.parse("192.0.2.0/28"))[: dice.choice((1, 1, 2))],
            tables=dice.choice([(254,), (100, 254)]),
            protocols=dice.choice([frozenset(range(256)), frozenset({12, 87})]),
            pinned=dice.choice([*Pinned]),
            default_route=dice.random() < 0.5,
            max_prefixes=dice.choice((0, 0, 1, 5)) if limit is None else limit,
            peers=named if dice.random() < 0.6 else {},
        )

    def _fill(self, peers: list[PublicKey]) -> None:
        dice, interface = self.dice, self.interface
        few = dice.choice((2, 6, len(PATHS)))  # of few kinds many are alike
        paths = dice.sample(PATHS, few)
        routes = {
            prefix: tuple(dice.sample(paths, dice.choice((1, 1, 1, 2)))) for prefix in NETS if dice.random() < 0.7
        }
        held = {prefix: dice.choice(peers) for prefix in NETS if dice.random() < 0.5}
        ledger = interface.ledger
        interface.held = Table(held)
        ledger.ours = Table({prefix: peer for prefix, peer in held.items() if dice.random() < 0.5})
        waiting = {prefix: dice.choice(peers) for prefix in ledger.ours if dice.random() < 0.3}
        ledger.displaced = Table({prefix: peer for prefix, peer in waiting.items() if ledger.ours[prefix] != peer})
        self.world.rib.load(dumped(routes))
        interface.recount()
        interface.refresh_gateways()

    def shuffle(self) -> None:
        """Other routes, other holders, and another ledger; the settings and peers stay."""
        self._fill(list(self.interface.device.peers))

    def alike(self, column: Column) -> Iterator[Column]:
        """The parts of a column that are decided as one, as the engine cuts them."""
        interface, council = self.interface, self.council
        return alike(interface, self.world.rib, column, lambda prefix: council.claimants(interface, prefix))

    def plan(self) -> Plan:
        """What is dirty is decided, as the engine does it."""
        interface, council = self.interface, self.council
        return plan(
            interface, self.world.rib, lambda prefix, standing: council.decide(interface, prefix, standing), self.alike
        )


def everything(scene: Scene, prefix: Prefix) -> tuple[object, ...]:
    """All that a plan asks about one prefix."""
    council, interface = scene.council, scene.interface
    return (
        council.verdict(interface, prefix),
        council.routes(interface, prefix),
        scene.world.own_routes(interface, prefix),
        interface.held.get(prefix),
        interface.ledger.ours.get(prefix),
        interface.ledger.displaced.get(prefix),
    )
