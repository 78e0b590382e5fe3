"""Where histories happen: one namespace and one device, used for many, and read with the eyes of ip and wg."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace, end
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.setup import PeerConfig
from tests.harness.hand import Hand
from tests.harness.waiting import settle

PEERS: Final = {name: PublicKey(bytes([number]) * 32) for number, name in enumerate("abcde", 1)}
NAMES: Final = {key: name for name, key in PEERS.items()}
ROUTED, PINNED = "abc", "de"  # a prefix that is pinned where a route already has it looks like the route's
LINK_LOCAL: Final = px.parse("fe80::/64")
OURS: Final = "87"
ENDPOINT: Final = "192.0.2.77:7777"  # of the pinned peers, who are somebody else's
TABLES: Final = ("main", "100")
FOREIGN: Final = (  # somebody else's, which stays whatever happens
    "link add dummy0 type veth peer name dummy1",
    "link set dummy1 up",
    "link set dummy0 up",
    "address add 192.0.2.9/24 dev dummy0",
    "route add blackhole 10.251.0.0/16",
    "route add 10.252.0.0/16 dev dummy0 table 100",
    "route add 10.253.0.0/16 via 192.0.2.1 proto static metric 4096",
    "route add 2001:db8:251::/48 dev dummy0",
)


def gateway(name: str) -> str:
    """The derived address of a peer, as text."""
    return px.address_text(derived_address(LINK_LOCAL, PEERS[name]))


GATEWAYS: Final = {gateway(name): name for name in PEERS}


@dataclass(frozen=True, slots=True)
class Route:
    """A route through the device, as ip(8) shows it; `peers` are those that its next hops name, here or gone."""

    prefix: Prefix
    table: str
    metric: int
    protocol: str
    peers: tuple[str, ...]


@dataclass(slots=True)
class Seen:
    """What there is, by the eyes of ip and wg."""

    held: dict[Prefix, str] = field(default_factory=dict)
    peers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)


class Place:
    """A namespace with things of others in it, and a device that can hang, die and be made again by its name."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.namespace.batch(FOREIGN)
        self._private_key = wireguard.new_private_key()
        self.wg = wireguard.create(namespace, private_key=self._private_key)
        self.hand = Hand(self.wg)
        self.others = self.seen().others

    # what others do

    def ip(self, *commands: str) -> None:
        """Run commands of iproute2, which may fail: what became of them is what is seen."""
        lines = "\n".join(command.format(dev=self.wg.name) for command in commands)
        self.namespace.run("ip", "-force", "-batch", "-", input=f"{lines}\n", check=False)

    def reset(self) -> None:
        """Everything as in the beginning: all peers, no AllowedIPs, no routes through the device."""
        self.ip("nexthop flush", "address flush dev {dev}", "link set {dev} down", "link set {dev} up")
        self.hand.peers(*(PeerConfig(key, remove=True) for key in PEERS.values()))
        self.add_peers(PEERS)

    def add_peers(self, names: Iterable[str]) -> None:
        """Peers as they are made by others."""
        self.hand.peers(
            *(PeerConfig(PEERS[name], endpoint=ENDPOINT if name in PINNED else None, keepalive=0) for name in names)
        )

    def recreate(self, *, violent: bool) -> None:
        """The device goes, with its routes and all, or its program is killed; another one has its name."""
        process = self.namespace._processes[-1] if self.wg.userspace else None
        if process is not None and violent:
            process.kill()
        else:
            self.wg.delete()
        if process is not None:
            end(process)
            self.namespace._processes.remove(process)
        self.wg = wireguard.create(self.namespace, self.wg.name, private_key=self._private_key)
        self.hand = Hand(self.wg)
        self.add_peers(PEERS)

    def stop(self, *, stopped: bool) -> None:
        """Let the userspace program hang, or go on."""
        if self.wg.userspace:
            os.kill(self.namespace._processes[-1].pid, signal.SIGSTOP if stopped else signal.SIGCONT)

    # what is seen

    def held(self) -> dict[Prefix, str]:
        """What the device holds, read without a process."""
        return {prefix: NAMES[key] for prefix, key in self.hand.read().items()}

    def seen(self) -> Seen:
        """All that ip and wg show."""
        found = Seen()
        for line in self.namespace.run("wg", "show", self.wg.name, "dump").splitlines()[1:]:
            key, psk, endpoint, prefixes, *_, keepalive = line.split("\t")
            name = NAMES.get(PublicKey.parse(key), key)
            found.peers[name] = psk, endpoint, keepalive
            found.held |= {px.parse(text): name for text in prefixes.split(",") if text != "(none)"}
        for family in ("-4", "-6"):
            for route in json.loads(self.namespace.ip("-j", family, "route", "show", "table", "all") or "[]"):
                self._take(found, route, "0.0.0.0/0" if family == "-4" else "::/0")
        for link in json.loads(self.namespace.ip("-j", "address", "show", "dev", self.wg.name)):
            found.addresses |= {item["local"] for item in link["addr_info"]}
        found.others.sort()
        return found

    def _take(self, found: Seen, route: dict[str, Any], zero: str) -> None:
        hops = route.get("nexthops", [route])
        if not any(hop.get("dev") == self.wg.name for hop in hops):
            if route.get("type") not in ("local", "broadcast", "multicast", "anycast") and "expires" not in route:
                found.others.append(json.dumps(route, sort_keys=True))
            return
        if route.get("type", "unicast") != "unicast" or route["dst"].startswith(("fe80::/", "ff00::/")):
            return
        peers = [GATEWAYS.get(hop.get("gateway") or hop.get("via", {}).get("host", "")) for hop in hops]
        prefix = px.parse(zero if route["dst"] == "default" else route["dst"])
        found.routes.append(
            Route(
                prefix,
                route.get("table", "main"),
                route.get("metric", 0),
                route.get("protocol", ""),
                tuple(peer for peer in peers if peer is not None),
            )
        )


def descriptors(pid: int) -> list[str]:
    """What a process has open, by kind; its ledger, which it opens when it needs it, and its ends of requests aside."""
    kinds = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if not target.endswith(".ledger"):
            kinds.append(
                target.split(":[", maxsplit=1)[0] if ":" in target else Path(target).suffix or Path(target).name
            )
    return sorted(kinds)


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_for(predicate: Any, what: str, timeout: float) -> Any:
    """As `settle`, without a tale."""
    return settle(predicate, timeout, what=what)
