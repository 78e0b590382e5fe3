"""Random histories of routes, peers, AllowedIPs and deaths: the end state is what the rules say, whatever the way.

A seed makes one history. The model of the test is naive: it looks at the kernel's routes and at who pinned what, and
says who may own each prefix; it knows nothing of deltas, ledgers or plans.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from itertools import groupby

import pytest

from peerway.model import plan, rib, rows, situations
from peerway.model import prefix as px
from peerway.model.device import Peer
from peerway.model.keys import PublicKey
from peerway.model.ledger import Memory
from peerway.model.link import Link
from peerway.model.policy import Pinned, Policy
from peerway.model.ports import Change, Gap
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, NexthopObject, Path, RouteChange, RouteChangeKind
from peerway.protocols.ledgerfile import decode
from tests.harness import naive
from tests.harness.columns import burst
from tests.harness.memory import Killed, MemoryTable
from tests.harness.site import OTHER, WG, Site, gateway, via

NETS = [px.parse(text) for text in ("10.0.0.0/8", "10.9.0.0/16", "10.9.9.0/24", "0.0.0.0/0", "2001:db8::/32")]
ALONE = {  # an address of each that is in no longer one
    "10.0.0.0/8": "10.200.0.1",
    "10.9.0.0/16": "10.9.200.1",
    "10.9.9.0/24": "10.9.9.1",
    "0.0.0.0/0": "192.0.2.1",
    "2001:db8::/32": "2001:db8::1",
}
STEPS = 40
HISTORIES = int(os.environ.get("PEERWAY_HISTORIES", "400"))  # `make test` plays more


class History:
    """A site, what users pinned on it, and the dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        policy = Policy(pinned=self.dice.choice(list(Pinned)), aggregate=seed % 4 == 3)
        self.site = Site(peers=3, policy=policy)
        self.pins: dict[Prefix, PublicKey] = {}
        self.foreign: dict[Prefix, Path] = {}
        self.told: list[str] = []
        self.dead = False
        self.unseen: set[Prefix] = set()  # pinned since the daemon looked: what is undone before it looks never was
        self.gone: set[PublicKey] = set()  # peers removed since then: one that is back before it looks never went
        self.site.table.set_nexthop(NexthopObject(1, NextHop(WG, gateway(self.site.peers[0]))))

    # what may happen

    def random_path(self, prefix: Prefix) -> Path:
        count = self.dice.choice((1, 1, 1, 2))
        peers = self.dice.sample(self.site.peers, count)
        metric = self.dice.choice((32, 64))
        if self.dice.random() < 0.2 and px.family(prefix) == px.AF_INET:
            return Path(254, 12, metric, nexthop_id=1)
        return via(*peers, metric=metric, protocol=self.dice.choice((12, 4)))

    def add_route(self) -> None:
        prefix = self.dice.choice(NETS)
        kind = self.dice.choice([kind for kind in RouteChangeKind if kind is not RouteChangeKind.DELETED])
        if px.family(prefix) == px.AF_INET6:
            kind = RouteChangeKind.REPLACED
        if 1 in self.site.table.objects or kind:
            path = self.random_path(prefix)
            if not path.nexthop_id or path.nexthop_id in self.site.table.objects:
                self.site.table.user_add(prefix, path, kind)

    def delete_route(self) -> None:
        routes = [(p, path) for p, paths in self.site.table.all.items() for path in paths if path.metric != 4096]
        if routes:
            self.site.table.user_delete(*self.dice.choice(routes))

    def pin(self) -> None:
        prefix, peer = self.dice.choice(NETS), self.dice.choice(self.site.peers)
        if peer not in self.site.device.peers or self.ours_at(prefix, peer):
            return  # WireGuard does not show that a prefix was given to the peer that has it
        self.site.device.map[prefix] = self.pins[prefix] = peer
        self.unseen.add(prefix)

    def ours_at(self, prefix: Prefix, peer: PublicKey) -> bool:
        """Whether the daemon believes, or a dead one's ledger may say, that it gave the prefix to this peer."""
        if not self.dead:
            interface = self.site.world.interfaces.get(WG)
            return interface is not None and interface.ledger.ours.get(prefix) == peer
        return peer in self.memory().maybe.get(prefix, set())

    def memory(self) -> Memory:
        """What a dead daemon left."""
        memory = Memory()
        for key, data in self.site.store.data.items():
            memory.replay(decode(data, key))
        return memory

    def unpin(self) -> None:
        pinned = [p for p, peer in self.pins.items() if self.site.device.map.get(p) == peer and p not in self.unseen]
        # The ledger of one that died in between cannot tell a pin that was taken away from one that waits.
        unclear = {*self.memory().displacing, *self.memory().displaced} if self.dead else set()
        pinned = [prefix for prefix in pinned if prefix not in unclear]
        if pinned:
            prefix = self.dice.choice(pinned)
            del self.site.device.map[prefix], self.pins[prefix]

    def drop_learned(self) -> None:
        held = [p for p in self.site.device.map if p in NETS and p not in self.pins]
        if held:
            del self.site.device.map[self.dice.choice(held)]

    def peer_goes(self) -> None:
        fresh = {self.pins[prefix] for prefix in self.unseen & self.pins.keys()}
        here = sorted(self.site.device.peers.keys() - fresh)
        if len(here) > 1:
            peer = self.dice.choice(here)
            self.site.device.remove_peer(peer)
            self.gone.add(peer)
            self.pins = {prefix: other for prefix, other in self.pins.items() if other != peer}

    def peer_comes(self) -> None:
        for peer in self.site.peers:
            if peer not in self.gone:
                self.site.device.peers.setdefault(peer, Peer(peer))

    def flap(self) -> None:
        for up in (False, True):
            self.site.table.set_link(Link(WG, "wg0", "wireguard", up=up))

    def move_nexthop(self) -> None:
        if 1 in self.site.table.objects and self.dice.random() < 0.3:
            self.site.table.delete_nexthop(1)
        else:
            self.site.table.set_nexthop(NexthopObject(1, NextHop(WG, gateway(self.dice.choice(self.site.peers)))))

    def foreign_route(self) -> None:
        prefix = self.dice.choice(NETS)
        path = Path(254, 4, 4096, (NextHop(OTHER, px.parse("192.0.2.1")),))
        if prefix not in self.foreign and self.site.table.user_add(prefix, path):
            self.foreign[prefix] = path

    def refuse(self) -> None:
        self.site.device.refuse = set(self.dice.sample(NETS, self.dice.randint(0, 2)))

    def fail(self) -> None:
        self.site.device.fail_after = self.dice.randint(0, 3)

    def lose(self) -> None:
        self.site.table.lose_notifications()

    async def silence(self) -> None:
        """The device fails in the middle, and says nothing for a while."""
        self.told.append("SILENCE")
        self.site.device.fail_after = self.dice.randint(0, 4)
        self.site.device.busy = True
        for _ in range(2):
            for deed in self.dice.choices((self.add_route, self.delete_route), k=3):
                self.told.append(deed.__name__)
                deed()
            await self.site.settle()
        self.site.device.busy = False
        await self.site.settle()

    # the course of it

    async def run(self) -> None:
        deeds = [self.add_route] * 5 + [self.delete_route] * 3 + [self.pin, self.unpin, self.drop_learned]
        deeds += [self.peer_goes, self.peer_comes, self.flap, self.move_nexthop, self.foreign_route]
        deeds += [self.refuse, self.fail, self.lose]
        for _ in range(STEPS):
            deed = self.dice.choice(deeds)
            self.told.append(deed.__name__)
            deed()
            if self.dice.random() < 0.5:
                continue  # several things happen before the daemon looks
            if self.dead:
                self.site.start()
                self.dead = False
            self.site.fate.left = self.dice.randint(0, 12) if self.dice.random() < 0.2 else -1
            try:
                await self.site.settle()
                self.unseen.clear()
                self.gone.clear()
                if self.dice.random() < 0.1:
                    await self.silence()
            except Killed:
                self.told.append("KILLED")
                self.dead = True
                self.site.device.busy = False
        self.site.fate.left = self.site.device.fail_after = -1
        self.site.device.refuse = set()
        if self.dead or self.dice.random() < 0.5:
            self.site.start()
            self.dead = False
        for _ in range(8):
            await self.site.settle()

    # what must be

    def claims(self, prefix: Prefix) -> set[PublicKey]:
        """The peers of the route that the kernel would use, by the test's own reckoning."""
        return naive.routed(
            (path.metric, self.named(path)) for path in self.site.table.all.get(prefix, []) if path.protocol != 87
        )

    def named(self, path: Path) -> set[PublicKey]:
        """The peers that a path's next hops name."""
        hops = path.nexthops
        if path.nexthop_id:
            item = self.site.table.objects[path.nexthop_id]
            hops = (item.nexthop,) if item.nexthop else ()
        return {peer for peer in self.site.device.peers if gateway(peer) in {hop.gateway for hop in hops}}

    def check(self) -> None:
        site = self.site
        for prefix in NETS:
            pin = self.pins.get(prefix)
            if site.policy.aggregate:
                self.check_answer(prefix)
            else:
                self.check_owner(prefix, site.device.map.get(prefix))
            self.check_routes(prefix, pin)
        assert not site.table.deleted_foreign
        for prefix, path in self.foreign.items():
            assert path in site.table.all[prefix]
        for peer in site.device.peers:
            assert site.device.map.get(gateway(peer)) == peer
        derived = {gateway(peer) for peer in site.device.peers}
        ours = {p for p, peer in site.device.map.items() if p not in derived and self.pins.get(p) != peer}
        interface = site.interface
        assert {prefix for prefix in interface.ledger.ours if prefix not in derived} == ours
        given = interface.aggregated.given if interface.aggregated else interface.ledger.ours
        learned = [peer for prefix, peer in given.items() if prefix in NETS]
        assert {peer: learned.count(peer) for peer in learned} == +interface.counts
        assert interface.aggregated is None or interface.aggregated.audit()() == []
        assert not interface.failures or self.foreign

    def check_owner(self, prefix: Prefix, owner: PublicKey | None) -> None:
        yields = self.site.policy.pinned is Pinned.YIELDS
        allowed = naive.owners(self.pins.get(prefix), self.claims(prefix), yields=yields)
        assert owner in allowed or (not allowed and owner is None), px.text(prefix)

    def check_answer(self, prefix: Prefix) -> None:
        """An address that no longer prefix has goes to whom the longest claimed prefix around it names."""
        address = px.parse(ALONE[px.text(prefix)])
        around = [net for net in NETS if px.contains(net, prefix) and (net in self.pins or self.claims(net))]
        answer = covering(self.site.device.map, address)
        if around:
            self.check_owner(max(around, key=px.length), answer)
        else:
            assert answer is None, f"{px.text(address)} is nobody's"

    def check_routes(self, prefix: Prefix, pin: PublicKey | None) -> None:
        own = [path for path in self.site.table.all.get(prefix, []) if path.protocol == 87]
        wanted = pin is not None and not px.is_default(prefix) and prefix not in self.foreign
        assert [path.nexthops[0].gateway for path in own] == ([gateway(pin)] if wanted and pin else [])


def covering(held: Mapping[Prefix, PublicKey], address: Prefix) -> PublicKey | None:
    """Who has the longest prefix around an address."""
    return max(
        ((px.length(prefix), peer) for prefix, peer in held.items() if px.contains(prefix, address)),
        default=(0, None),
        key=lambda found: found[0],
    )[1]


@pytest.fixture(params=["single", "columns"])
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Prefixes one by one, or in columns however few they are: notifications, decisions and rows."""
    if request.param == "columns":
        monkeypatch.setattr(situations, "FEW", 0)
        monkeypatch.setattr(plan, "FEW", 0)
        monkeypatch.setattr(rib, "FEW", 0)
        monkeypatch.setattr(rows, "FRESH", 0)
        monkeypatch.setattr(MemoryTable, "read_changes", read_in_bursts)
    return str(request.param)


def read_in_bursts(table: MemoryTable) -> list[Change | Gap]:
    """What waits, with each run of routes as a burst."""
    waiting, table.waiting = table.waiting, []
    found: list[Change | Gap] = []
    for routes, run in groupby(waiting, lambda change: isinstance(change, RouteChange)):
        several = list(run)
        found += burst(change for change in several if isinstance(change, RouteChange)) if routes else several
    return found


@pytest.mark.usefixtures("shape")
@pytest.mark.parametrize("start", range(0, HISTORIES, 100))
async def test_any_history_ends_in_the_state_that_the_rules_say(start: int) -> None:
    """A hundred histories with deaths, lost notifications and failing devices end as the naive model says."""
    for seed in range(start, start + 100):
        history = History(seed)
        try:
            await history.run()
            history.check()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}\n{' '.join(history.told)}") from error
