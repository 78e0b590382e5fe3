"""kill -9 at each of many points of a large sync: whatever was done by then, the next daemon ends it right.

A point is a crossing of an edge: before and after each request to WireGuard and to the kernel, and before, within and
after each write to the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerway.backends import userspace
from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.setup import PeerConfig
from peerway.protocols import wireguard_set
from tests.chaos.extent import extent
from tests.chaos.faults import Knob, Page, install, put
from tests.harness.daemon import Daemon
from tests.harness.hand import Hand

ROUTES = extent(20_000, 20_000, 1000)
POINTS = extent(240, 8, 4)
LINES = 150  # prefixes of one request, so that there are many
PEERS = {name: PublicKey(bytes([number]) * 32) for number, name in enumerate("ab", 1)}
PINNED = px.parse("10.250.0.0/16")  # nobody else's business
NETS = [Prefix((20 << 24 | number << 8) << 8 | 24) for number in range(ROUTES)]


def gateway(name: str) -> Prefix:
    return derived_address(px.parse("fe80::/64"), PEERS[name])


class Sync:
    """Many routes through one nexthop object, which names a peer; to replace it is a sync of all of them."""

    def __init__(self, namespace: Namespace) -> None:
        self.wg = wireguard.create(namespace)
        self.hand = Hand(self.wg)
        self.hand.peers(*map(PeerConfig, PEERS.values()))
        self.hand.give([(PINNED, PEERS["b"])])
        self.at = ""
        self.name("a")
        namespace.batch(f"route add {px.text(net)} nhid 1 proto bird" for net in NETS)
        self.page = Page()
        self.page[Knob.AUDIT] = 600_000
        config = {"interfaces": {"*": {"route_sync": "routes-to-peers"}}}
        self.daemon = Daemon(namespace, config, before=self._before)

    def _before(self) -> None:
        install(self.page, 0, ())
        put(userspace, "LINES", LINES)
        put(wireguard_set, "BUDGET", LINES * wireguard_set.PREFIX_COST)

    def name(self, peer: str) -> None:
        """All routes go to this peer."""
        self.at = peer
        way = f"via {px.address_text(gateway(peer))} dev {self.wg.name}"
        self.wg.namespace.ip("nexthop", "replace", "id", "1", *way.split())

    def forget(self) -> None:
        """Peers go and come back: nothing is learned. Somebody else pins his prefix again."""
        self.hand.peers(*(PeerConfig(key, remove=True) for key in PEERS.values()))
        self.hand.peers(*map(PeerConfig, PEERS.values()))
        self.hand.give([(PINNED, PEERS["b"])])

    def begin(self, kind: str, point: int) -> None:
        """Have a sync done from nothing, or a move of all prefixes, of which the daemon dies at a point."""
        if kind == "fresh":
            if self.daemon.running():
                self.daemon.kill()
            self.forget()
            self.page[Knob.KILL_AT] = self.page[Knob.CROSSINGS] + point
            self.daemon.start(wait=False)
            return
        if not self.daemon.running():
            self.daemon.start()
        self.page[Knob.KILL_AT] = self.page[Knob.CROSSINGS] + point
        self.name("b" if self.at == "a" else "a")

    def end(self) -> None:
        """The next daemon has done it all."""
        self.page[Knob.KILL_AT] = 0
        if not self.daemon.running():
            self.daemon.start()
        self.daemon.request("POST", "/v1/sync")
        wanted = dict.fromkeys(NETS, PEERS[self.at]) | {gateway(name): key for name, key in PEERS.items()}
        assert self.hand.read() == wanted | {PINNED: PEERS["b"]}
        counts = self.daemon.get("/v1/status")["interfaces"][0]["counts"]
        assert (counts["learned"], counts["derived"], counts["pinned"]) == (ROUTES, 2, 1)

    def crossings(self, kind: str) -> int:
        """How many points there are."""
        before = self.page[Knob.CROSSINGS]
        self.begin(kind, 1 << 40)
        if kind == "fresh":
            self.daemon.settle(self.daemon._answers, what="an answer on the control socket")
        self.daemon.request("POST", "/v1/sync")
        after = self.page[Knob.CROSSINGS]
        self.end()
        return after - before


@pytest.fixture
def sync(namespace: Namespace) -> Iterator[Sync]:
    made = Sync(namespace)
    yield made
    made.daemon.close()


def test_killed_at_each_point_of_a_large_sync(sync: Sync) -> None:
    """Whichever request, write or answer was the last one: afterwards each prefix is where it should be, and known."""
    sync.daemon.start()
    there = {kind: sync.crossings(kind) for kind in ("fresh", "move")}
    share = POINTS // len(there)
    points = [(kind, 1 + number * (count - 1) // share) for kind, count in there.items() for number in range(share)]
    assert len(set(points)) == share * len(there)
    for kind, point in points:
        sync.begin(kind, point)
        sync.daemon.settle(lambda: not sync.daemon.running(), what=f"its death at point {point} of a {kind} sync")
        sync.end()
    print(f"killed at {len(points)} points of syncs of {ROUTES} routes, which have {there}")
