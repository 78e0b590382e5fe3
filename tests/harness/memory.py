"""A kernel and a WireGuard device in memory: the ports of the engine, with crashes where one wants them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from peerway.model import prefix as px
from peerway.model.device import AllowedIPsDelta, Backend, Device, Peer, Reading
from peerway.model.keys import PublicKey
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.model.ports import Change, DeviceHandle, Gap, Refusal
from peerway.model.prefix import Prefix
from peerway.model.route import (
    NexthopChange,
    NexthopObject,
    Path,
    RouteChange,
    RouteChangeKind,
    RouteColumns,
    RouteGroup,
)
from peerway.model.table import Table
from tests.harness.columns import dumped, pairs


class Killed(BaseException):
    """The process is dead from here on."""


class Fate:
    """Counts effects on the world down to the one at which the process dies; never, by default."""

    def __init__(self) -> None:
        self.left = -1

    def effect(self) -> None:
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= self.left > 0


class MemoryTable:
    """Routes of one namespace in memory, as IPv4 has them: ordered within prefix, table and metric."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.all: dict[Prefix, list[Path]] = {}
        self.all_links: dict[int, Link] = {}
        self.all_addresses: set[Address] = set()
        self.objects: dict[int, NexthopObject] = {}
        self.waiting: list[Change | Gap] = []
        self.deleted_foreign: list[tuple[Prefix, Path]] = []
        self.added: list[tuple[Prefix, Path]] = []
        self.own_protocol = 87

    # what users do

    def user_add(self, prefix: Prefix, path: Path, kind: RouteChangeKind = RouteChangeKind.ADDED) -> bool:
        paths = self.all.setdefault(prefix, [])
        same = [other for other in paths if _key(other) == _key(path)]
        if path in paths or (same and kind is RouteChangeKind.ADDED):
            return False
        rest = [other for other in paths if other not in same]
        match kind:
            case RouteChangeKind.ADDED | RouteChangeKind.APPENDED:
                same = [*same, path]
            case RouteChangeKind.PREPENDED:
                same = [path, *same]
            case _:
                kind = RouteChangeKind.REPLACED if same else RouteChangeKind.ADDED
                same = [path, *same[1:]]
        self.all[prefix] = rest + same
        self.waiting.append(RouteChange(kind, prefix, path))
        return True

    def user_delete(self, prefix: Prefix, path: Path) -> bool:
        if path not in self.all.get(prefix, []):
            return False
        self.all[prefix].remove(path)
        self.waiting.append(RouteChange(RouteChangeKind.DELETED, prefix, path))
        return True

    def set_link(self, link: Link) -> None:
        if not link.up:  # IPv4 routes vanish without a word
            for paths in self.all.values():
                paths[:] = [path for path in paths if not self._uses(path, link.ifindex)]
        self.all_links[link.ifindex] = link
        self.waiting.append(LinkChange(link.ifindex, link))

    def set_nexthop(self, item: NexthopObject) -> None:
        self.objects[item.id] = item
        self.waiting.append(NexthopChange(item.id, item))

    def delete_nexthop(self, id_: int) -> None:
        del self.objects[id_]
        for paths in self.all.values():
            paths[:] = [path for path in paths if path.nexthop_id != id_]
        self.waiting.append(NexthopChange(id_, None))

    def lose_notifications(self) -> None:
        self.waiting = [Gap("the test dropped them")]

    def _uses(self, path: Path, ifindex: int) -> bool:
        if path.nexthop_id:
            item = self.objects.get(path.nexthop_id)
            return item is not None and item.nexthop is not None and item.nexthop.ifindex == ifindex
        return any(hop.ifindex == ifindex for hop in path.nexthops)

    # the port

    def fileno(self) -> int:
        raise NotImplementedError

    def listen_to(self, interfaces: Iterable[int]) -> None:
        """It tells everything."""

    def read_changes(self) -> list[Change | Gap]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def links(self) -> dict[int, Link]:
        return dict(self.all_links)

    def addresses(self) -> list[Address]:
        return sorted(self.all_addresses)

    def nexthops(self) -> dict[int, NexthopObject]:
        return dict(self.objects)

    def routes(self, keep: Callable[[Path], bool]) -> list[RouteColumns]:
        return dumped({prefix: tuple(path for path in paths if keep(path)) for prefix, paths in self.all.items()})

    def lookup(self, address: Prefix) -> tuple[Prefix, Path] | None:
        covering = [prefix for prefix, paths in self.all.items() if paths and px.contains(prefix, address)]
        if not covering:
            return None
        best = max(covering, key=px.length)
        return best, min(self.all[best], key=lambda path: path.metric)

    def add_routes(self, routes: Sequence[RouteGroup], *, append: bool = False) -> list[Refusal]:
        refusals = []
        for prefix, path in pairs(routes):
            self.fate.effect()
            self.added.append((prefix, path))
            kind = RouteChangeKind.APPENDED if append else RouteChangeKind.ADDED
            if not self.user_add(prefix, path, kind):
                refusals.append(Refusal(prefix, errno.EEXIST, "File exists"))
        return refusals

    def delete_routes(self, routes: Sequence[RouteGroup]) -> list[Refusal]:
        for prefix, path in pairs(routes):
            self.fate.effect()
            if path.protocol != self.own_protocol:
                self.deleted_foreign.append((prefix, path))
            self.user_delete(prefix, path)
        return []

    def add_address(self, address: Address) -> None:
        self.fate.effect()
        self.all_addresses.add(address)
        self.waiting.append(AddressChange(address, present=True))

    def delete_address(self, address: Address) -> None:
        self.fate.effect()
        self.all_addresses.discard(address)
        self.waiting.append(AddressChange(address, present=False))

    def stop_kernel_link_local(self, ifindex: int) -> None:
        self.fate.effect()


def _key(path: Path) -> tuple[int, int, int]:
    return path.table, path.tos, path.metric


class MemoryDevice:
    """A WireGuard device in memory: one map from prefix to peer."""

    backend = Backend.KERNEL

    def __init__(self, fate: Fate, name: str, ifindex: int, public_key: PublicKey) -> None:
        self.fate, self.name, self.ifindex, self.public_key = fate, name, ifindex, public_key
        self.peers: dict[PublicKey, Peer] = {}
        self.map: dict[Prefix, PublicKey] = {}
        self.refuse: set[Prefix] = set()
        self.fail_after = -1  # operations until the device answers with an error
        self.busy = False  # whether it cannot be read
        self.deltas: list[AllowedIPsDelta] = []
        self.foreseen = 0

    def remove_peer(self, key: PublicKey) -> None:
        del self.peers[key]
        self.map = {prefix: peer for prefix, peer in self.map.items() if peer != key}

    async def read(self) -> Reading:
        if self.busy:
            raise OSError(errno.EBUSY, "the test keeps it busy")
        device = Device(self.name, self.ifindex, self.backend, self.public_key, peers=dict(self.peers))
        return Reading(device, Table(self.map))

    def foresee(self) -> None:
        self.foreseen += 1

    async def apply(self, delta: AllowedIPsDelta) -> list[Refusal]:
        self.deltas.append(delta)
        add, remove = pairs(delta.add), pairs(delta.remove)
        for prefix, peer in add:
            self._operate()
            if prefix not in self.refuse and peer in self.peers:
                self.map[prefix] = peer
        for prefix, peer in remove:
            self._operate()
            if prefix not in self.refuse and self.map.get(prefix) == peer:
                del self.map[prefix]
        touched = {prefix for prefix, _ in add + remove}
        return [Refusal(prefix, errno.EINVAL, "refused by the test") for prefix in sorted(touched & self.refuse)]

    def _operate(self) -> None:
        self.fate.effect()
        if self.fail_after == 0:
            self.fail_after = -1
            raise OSError(errno.EIO, "the test let it fail")
        self.fail_after -= self.fail_after > 0

    async def close(self) -> None:
        """Nothing to close."""


class MemoryDevices:
    """Finds the devices of the test."""

    def __init__(self) -> None:
        self.present: dict[int, DeviceHandle] = {}

    async def find(self, links: Iterable[Link]) -> dict[int, DeviceHandle]:
        there = {link.ifindex for link in links}
        return {ifindex: handle for ifindex, handle in self.present.items() if ifindex in there}

    def fileno(self) -> int | None:
        return None

    def read_hints(self) -> bool:
        return False


class MemoryStore:
    """Ledgers that outlive the engine of the test."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.data: dict[str, bytes] = {}

    def load(self, key: str) -> bytes:
        return self.data.get(key, b"")

    def append(self, key: str, data: bytes) -> None:
        self.fate.effect()
        self.data[key] = self.data.get(key, b"") + data

    def replace(self, key: str, data: bytes) -> None:
        self.fate.effect()
        self.data[key] = data

    def keys(self) -> list[str]:
        return sorted(self.data)

    def delete(self, key: str) -> None:
        self.fate.effect()
        self.data.pop(key, None)
