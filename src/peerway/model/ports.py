"""What the engine needs of the world: the shapes of the edges. backends/ implement them, tests have them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from peerway.model.device import AllowedIPsDelta, Backend, Reading
from peerway.model.keys import PublicKey
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.model.prefix import Prefix
from peerway.model.route import NexthopChange, NexthopObject, Path, RouteChange, RouteColumns, RouteGroup

BULK: Final = 256
"""From so many routes in one call on, they may be changed by another thread."""

Change = LinkChange | AddressChange | NexthopChange | RouteChange | RouteColumns


@dataclass(frozen=True, slots=True)
class Gap:
    """
    The stream of notifications broke (ENOBUFS, or a message that could not be read): only a new dump tells the state.

    Where nothing is `lost`, it is only the order of changes to a route that is not known.
    """

    reason: str
    lost: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One object that the kernel or the device refused, and its error number and words.
    """

    prefix: Prefix
    errno: int
    reason: str


class RoutingTable(Protocol):
    """
    Links, addresses, nexthop objects and routes of one network namespace (rtnetlink(7)).
    """

    def fileno(self) -> int:
        """The descriptor that is readable while notifications wait."""
        ...

    def listen_to(self, interfaces: Iterable[int]) -> None:
        """
        From now on changes of routes through other interfaces need not be told. Those of an interface that was not
        listened to are unknown: dump them after this.
        """
        ...

    def read_changes(self) -> list[Change | Gap]:
        """
        The notifications that wait now, in the kernel's order; never blocks. Many routes in a row come as RouteColumns,
        one for each family: routes of two families have no order among each other.
        """
        ...

    def links(self) -> dict[int, Link]:
        """Dump all links, by index."""
        ...

    def addresses(self) -> list[Address]:
        """Dump all IPv4 and IPv6 addresses."""
        ...

    def nexthops(self) -> dict[int, NexthopObject]:
        """Dump all nexthop objects, by id; empty on a kernel without them."""
        ...

    def routes(self, keep: Callable[[Path], bool]) -> list[RouteColumns]:
        """Dump the routes of all tables whose path passes `keep`, in the kernel's order where a prefix has several."""
        ...

    def lookup(self, address: Prefix) -> tuple[Prefix, Path] | None:
        """The route that the kernel uses for this destination (ip route get fibmatch), None if unreachable."""
        ...

    def add_routes(self, routes: Sequence[RouteGroup], *, append: bool = False) -> list[Refusal]:
        """
        Add routes; an equal one that stands is a refusal (EEXIST) unless `append`. Never replaces. BULK or more may be
        added by another thread: meanwhile all may be called but what changes BULK or more. What is added is told by
        `read_changes` like all else, but perhaps `fileno` does not say so.
        """
        ...

    def delete_routes(self, routes: Sequence[RouteGroup]) -> list[Refusal]:
        """
        Delete exactly these routes: table, metric, protocol and next hop are all named; a missing one is fine. By
        another thread like `add_routes`.
        """
        ...

    def add_address(self, address: Address) -> None:
        """Assign an address, marked with its protocol where the kernel can (IFA_PROTO); an existing one is fine."""
        ...

    def delete_address(self, address: Address) -> None:
        """Take an address away; a missing one is fine."""
        ...

    def stop_kernel_link_local(self, ifindex: int) -> None:
        """Set addr_gen_mode none, so that the kernel makes no link-local address of its own on this link."""
        ...


class DeviceHandle(Protocol):
    """
    One WireGuard device, of whichever backend.
    """

    @property
    def name(self) -> str:
        """The interface's name."""
        ...

    @property
    def ifindex(self) -> int:
        """The interface's index."""
        ...

    @property
    def backend(self) -> Backend:
        """How it is spoken to."""
        ...

    async def read(self) -> Reading:
        """Read all of the device, consistently. Raises OSError (ENODEV when it is gone)."""
        ...

    def foresee(self) -> None:
        """Many prefixes may have to go soon: what that needs is begun beside other work, if it can be."""
        ...

    async def apply(self, delta: AllowedIPsDelta) -> list[Refusal]:
        """
        Give and take AllowedIPs: adds first, then removals, in chunks; no prefix outside the delta is without its
        owner for an instant, a peer that does not exist is never created, and a removal only takes the prefix from
        the peer that is named. Raises OSError when the device is gone or does not answer.
        """
        ...

    async def close(self) -> None:
        """Let go of the device's socket, if there is one."""
        ...


class Devices(Protocol):
    """
    Finds the WireGuard devices of this network namespace.
    """

    async def find(self, links: Iterable[Link]) -> dict[int, DeviceHandle]:
        """The devices among these links, by ifindex; handles of devices that stay are the same objects."""
        ...

    def fileno(self) -> int | None:
        """A descriptor that is readable when devices may have come or changed (inotify), if there is one."""
        ...

    def read_hints(self) -> bool:
        """Read what waits at `fileno`; whether it says that devices came or changed."""
        ...


class DeviceTap(Protocol):
    """
    Shows that another program changed a kernel WireGuard device (nlmon).
    """

    def fileno(self) -> int:
        """The descriptor that is readable while frames wait."""
        ...

    def read_hints(self) -> set[int | str] | None:
        """Which devices (ifindex or name) were changed by others since the last call; None = any may have been."""
        ...

    def close(self) -> None:
        """Remove the tap."""
        ...


class LedgerStore(Protocol):
    """
    Where the ledgers of interfaces are kept. `key` tells one interface of one boot and namespace apart.
    """

    def load(self, key: str) -> bytes:
        """All that was written for this key, empty if nothing."""
        ...

    def append(self, key: str, data: bytes) -> None:
        """Write at the end, before returning, so that a killed process has it."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Put `data` in the place of all, atomically."""
        ...

    def keys(self) -> list[str]:
        """The keys that are kept."""
        ...

    def delete(self, key: str) -> None:
        """Forget a key."""
        ...


__all__ = [
    "Change",
    "DeviceHandle",
    "DeviceTap",
    "Devices",
    "Gap",
    "LedgerStore",
    "PublicKey",
    "Refusal",
    "RoutingTable",
]
