"""One site in memory: a kernel, a device with peers, and an engine that can be killed and started again."""

from __future__ import annotations

from peerway.engine import Engine
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.device import Peer
from peerway.model.events import Event
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Link
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path
from peerway.model.world import World
from peerway.records import Records
from peerway.watcher import Watcher
from tests.harness.memory import Fate, MemoryDevice, MemoryDevices, MemoryStore, MemoryTable

WG = 7
OTHER = 3
LINK_LOCAL = px.parse("fe80::/64")


def key(number: int) -> PublicKey:
    """A public key that is easy to tell from others."""
    return PublicKey(bytes([number]) * 32)


def gateway(peer: PublicKey) -> Prefix:
    """The derived link-local address of a peer."""
    return derived_address(LINK_LOCAL, peer)


def via(*peers: PublicKey, protocol: int = 12, metric: int = 32, table: int = 254, weight: int = 1) -> Path:
    """A route as a daemon would install it, by the derived addresses of these peers."""
    return Path(table, protocol, metric, tuple(NextHop(WG, gateway(peer), weight) for peer in peers))


class Site:
    """`with peers 1..n`; `settle()` runs the engine until it has nothing to do."""

    def __init__(self, peers: int = 3, policy: Policy | None = None) -> None:
        self.fate = Fate()
        self.now = 0.0
        self.policy = policy or Policy()
        self.events: list[Event] = []
        self.table = MemoryTable(self.fate)
        self.device = MemoryDevice(self.fate, "wg0", WG, key(100))
        self.devices = MemoryDevices()
        self.devices.present[WG] = self.device
        self.store = MemoryStore(self.fate)
        self.peers = [key(number) for number in range(1, peers + 1)]
        for peer in self.peers:
            self.device.peers[peer] = Peer(peer)
        self.table.all_links = {OTHER: Link(OTHER, "eth0", "", up=True), WG: Link(WG, "wg0", "wireguard", up=True)}
        self.start()

    def start(self) -> None:
        """A new process: only the kernel, the device and the store have a memory."""
        self.table.waiting = []
        self.world = World()
        self.watcher = Watcher(
            self.world,
            self.table,
            self.devices,
            None,
            policies=lambda _: self.policy,
            publish=self.events.append,
            clock=self.clock,
            poll_interval=1.0,
        )
        records = Records(self.store, "boot")
        self.engine = Engine(
            self.world, self.table, self.watcher, records, publish=self.events.append, clock=self.clock
        )

    def clock(self) -> float:
        return self.now

    @property
    def interface(self) -> Interface:
        return self.world.interfaces[WG]

    async def settle(self, *, poll: bool = True) -> None:
        """Let time pass so that devices are read, and run until nothing is left to do."""
        self.now += 120.0 if poll else 0.0
        for _ in range(20):
            await self.engine.step()
            if self.engine.deadline > self.now and not self.table.waiting:
                return
        raise AssertionError("the engine does not come to rest")

    def owner(self, prefix: str) -> PublicKey | None:
        """Who holds a prefix on the device."""
        return self.device.map.get(px.parse(prefix))
