"""Sites joined by an underlay, each with one WireGuard interface, peerway, and networks of its own behind it.

Site number 2 has the underlay address 192.0.2.2, the networks 10.2.0.0/24 and 2001:db8:2::/48, and would have the AS
65002. Routing daemons are added by the tests.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeVar

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace, link
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon, Json
from tests.harness.waiting import settle

T = TypeVar("T")
PATIENCE = 240.0 if os.environ.get("IN_GUEST") else 60.0  # seconds: routing daemons have timers of their own


class EndedError(RuntimeError):
    """A program that a test needs ended by itself."""


def derived(public_key: str, prefix: str = "fe80::/64") -> str:
    """The address in this prefix that names the peer with this key."""
    return px.address_text(derived_address(px.parse(prefix), PublicKey.parse(public_key)))


@dataclass
class Site:
    """
    One site. `daemon` is there once peerway was started; `programs` must not end while something is waited for, and
    `tellers` say more when a test fails.
    """

    name: str
    number: int
    namespace: Namespace
    wg: WireGuard
    daemon: Daemon | None = None
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    tellers: list[Callable[[], str]] = field(default_factory=list)

    @property
    def gateway(self) -> str:
        """The address that names this site at the others."""
        return derived(self.wg.public_key)

    @property
    def endpoint(self) -> str:
        return f"192.0.2.{self.number}:{self.wg.listen_port}"

    @property
    def asn(self) -> int:
        return 65000 + self.number

    @property
    def networks(self) -> tuple[str, str]:
        return f"10.{self.number}.0.0/24", f"2001:db8:{self.number}::/48"

    @property
    def addresses(self) -> tuple[str, str]:
        return f"10.{self.number}.0.1", f"2001:db8:{self.number}::1"

    def add_addresses(self, *addresses: str) -> None:
        """Host addresses of this site, so that it answers for a network."""
        self.namespace.batch(f"address add {address} dev lo" for address in addresses)

    def holds(self, peer: Site) -> set[str]:
        """The AllowedIPs of a peer on this site's device."""
        return self.wg.allowed_ips().get(peer.wg.public_key, set())

    def route(self, prefix: str, *words: str) -> str:
        """The kernel's routes to exactly this prefix, one a line."""
        return self.namespace.ip("-6" if ":" in prefix else "-4", "route", "show", "exact", prefix, *words)

    def entry(self, prefix: str) -> Json:
        """The entry of a prefix in `peerway routes`, or an empty one."""
        assert self.daemon is not None
        empty: Json = {"origin": None, "owner": None, "shadowed": [], "refused": []}
        return next((entry for entry in self.daemon.get("/v1/routes")["routes"] if entry["prefix"] == prefix), empty)

    def differences(self) -> list[Any]:
        """What `peerway verify` finds."""
        assert self.daemon is not None
        return list(self.daemon.request("POST", "/v1/verify")["differences"])

    def pings(self, target: str, *, source: str | None = None) -> bool:
        """Whether an echo request from this site's network is answered."""
        source = source or self.addresses[":" in target]
        return self.namespace.succeeds("ping", "-c1", "-W2", "-I", source, target)

    def echoes(self) -> int:
        """How many echo requests this site has heard, of both families."""
        rows = self.namespace.run("cat", "/proc/net/snmp").splitlines()
        names, values = (row.split() for row in rows if row.startswith("Icmp:"))
        rows6 = self.namespace.run("cat", "/proc/net/snmp6").splitlines()
        return int(values[names.index("InEchos")]) + sum(
            int(r.split()[1]) for r in rows6 if r.startswith("Icmp6InEchos ")
        )

    def tell(self) -> str:
        """The state of things, for the reader of a failed test."""
        parts = [self.daemon.tell()] if self.daemon is not None else []
        return f"===== {self.name}\n" + "\n".join([*parts, *(teller() for teller in self.tellers)])


class Mesh:
    """
    Sites that are all peers of each other: `mesh.sites`, or `a, b, c = mesh`.
    """

    def __init__(self, namespaces: Callable[[str], Namespace], names: Iterable[str]) -> None:
        """
        Build underlay, sites and devices; peers know each other's endpoint and have no AllowedIPs.
        """
        self.internet = namespaces("net")
        self.internet.batch(["link add net type bridge", "link set net up"])
        self._namespaces = namespaces
        self.sites: list[Site] = []
        for name in names:
            self.add(name)
        for left, right in combinations(self.sites, 2):
            self.connect(left, right)

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def add(self, name: str, create: Callable[[Namespace], WireGuard] = wireguard.create) -> Site:
        """One more site, without peers. `create` says what its device is, or will be."""
        number = len(self.sites) + 1
        namespace = self._namespaces(name)
        inside, _ = link(self.internet, namespace, [], [f"192.0.2.{number}/24"])
        self.internet.ip("link", "set", inside, "master", "net")
        namespace.sysctl("net/ipv4/ip_forward", 1)
        namespace.sysctl("net/ipv6/conf/all/forwarding", 1)
        site = Site(name, number, namespace, create(namespace))
        site.add_addresses(*site.addresses)
        self.sites.append(site)
        return site

    def connect(self, left: Site, right: Site) -> None:
        """Make two sites peers of each other."""
        left.wg.set_peer(right.wg.public_key, endpoint=right.endpoint)
        right.wg.set_peer(left.wg.public_key, endpoint=left.endpoint)

    def others(self, site: Site) -> list[Site]:
        return [other for other in self.sites if other is not site]

    def settle(self, predicate: Callable[[], T], what: str) -> T:
        """Wait until something holds. Fails with what all sites tell, and at once if a program has ended."""

        def and_all_run() -> T:
            for site in self.sites:
                for program in site.programs:
                    if program.poll() is not None:
                        raise EndedError(f"{program.args!r} ended at {site.name} ({what} is in vain)\n{site.tell()}")
            return predicate()

        return settle(and_all_run, PATIENCE, what=what, tell=lambda: "\n".join(site.tell() for site in self.sites))

    def owns(self, here: Site, owner: Site | None, *prefixes: str) -> None:
        """Wait until `owner`, and nobody else, holds these prefixes at `here`."""

        def owners() -> bool:
            assert {other.name: set(prefixes) & here.holds(other) for other in self.others(here)} == {
                other.name: set(prefixes) if other is owner else set() for other in self.others(here)
            }
            return True

        self.settle(owners, f"{', '.join(prefixes)} at {here.name} to be held by {owner.name if owner else 'nobody'}")

    def reaches(self, here: Site, owner: Site, *targets: str) -> None:
        """Wait until echo requests from `here` to these addresses are answered, and see that `owner` heard them."""
        for target in targets:
            before = owner.echoes()
            self.settle(lambda target=target: here.pings(target), f"a ping from {here.name} to {target}")  # type: ignore[misc]
            assert owner.echoes() > before, (
                f"{target} answered {here.name}, but {owner.name} has not heard it\n{here.tell()}"
            )
