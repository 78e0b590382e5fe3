"""wg-quick and `wg syncconf`, unmodified, beside peerway: what they set up stays, and what peerway adds comes again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from peerway.lab.namespace import Namespace
from peerway.lab.wg_quick import QuickPeer, WgQuick
from peerway.lab.wireguard import WireGuard
from tests.harness.daemon import Daemon
from tests.harness.mesh import Mesh, Site
from tests.harness.need import need_program

OWN_ADDRESSES = ("10.200.0.1/24", "fd00:200::1/64")
ROUTED = ("10.99.0.0/24", "2001:db8:99::/48")  # what a kernel route gives to a peer
ROUTED_ADDRESSES = ("10.99.0.1", "2001:db8:99::1")
ADDED = ("10.98.0.0/24", "2001:db8:98::/48")  # what a changed configuration pins in addition
ADDED_ADDRESSES = ("10.98.0.1", "2001:db8:98::1")


class Quick:
    """
    Site q, whose interface is wg-quick's, and its peers b and c, whose interfaces are plain; peerway runs at these.
    """

    def __init__(self, mesh: Mesh, home: Path) -> None:
        self.mesh = mesh
        self.b, self.c = mesh.sites
        self.here = mesh.add("q", lambda namespace: self._make(namespace, home))
        for number, site in enumerate((self.b, self.c), 2):
            site.add_addresses(f"10.200.0.{number}", f"fd00:200::{number}")
            site.wg.set_peer(
                self.here.wg.public_key,
                endpoint=self.here.endpoint,
                allowed_ips=["10.200.0.1/32", "fd00:200::1/128", *self.here.networks],
            )
        self.pins = {"b": [*self.own(self.b), *self.b.networks], "c": [*self.own(self.c), *self.c.networks]}

    def _make(self, namespace: Namespace, home: Path) -> WireGuard:
        self.interface = WgQuick(namespace, home)
        return self.interface.wg

    def own(self, site: Site) -> tuple[str, str]:
        """The addresses of a peer in the tunnel's own network, as host prefixes."""
        return f"10.200.0.{site.number + 1}/32", f"fd00:200::{site.number + 1}/128"

    def write(self, table: str) -> None:
        """Write the configuration with the present pins; a peer without an entry is not in it."""
        sites = {"b": self.b, "c": self.c}
        peers = [QuickPeer(sites[name].wg.public_key, sites[name].endpoint, pins) for name, pins in self.pins.items()]
        self.interface.write(peers, addresses=OWN_ADDRESSES, table=table)

    def routes(self, *, ours: bool) -> set[str]:
        """The routes of the interface that are ours, or those that are not; without what link-local addresses bring."""
        lines = [
            f"{family} {' '.join(line.split())}"
            for family in ("-4", "-6")
            for line in self.here.namespace.ip(
                family, "route", "show", "dev", self.interface.name, "table", "all"
            ).splitlines()
        ]
        link_local = re.compile(r"-6 (\w+ )?(fe80|ff00):")
        return {line for line in lines if ("proto 87" in line) is ours and not link_local.match(line)}

    def forgotten(self) -> bool:
        """Whether peerway knows no interface any more."""
        assert self.here.daemon is not None
        return not self.here.daemon.get("/v1/status")["interfaces"]

    def routed(self, *prefixes: str) -> None:
        """Wait until we have a route to each of these."""
        for prefix in prefixes:
            self.mesh.settle(lambda: "metric 4096" in self.here.route(prefix, "proto", "87"), f"our route to {prefix}")  # noqa: B023 - used at once

    def works(self) -> None:
        """Wait until both peers are reached, at their own addresses and in their networks."""
        for site in (self.b, self.c):
            own = [prefix.partition("/")[0] for prefix in self.own(site)]
            self.mesh.reaches(self.here, site, *own, *site.addresses)


QuickMaker = Callable[[str], Quick]


@pytest.fixture
def quick(namespaces: Callable[[str], Namespace], home: Path, peerway: Callable[..., Daemon]) -> QuickMaker:
    """Make the sites, with wg-quick's file for this table; nothing is up."""
    need_program("wg-quick", "wireguard-tools")

    def make(table: str) -> Quick:
        made = Quick(Mesh(namespaces, ("b", "c")), home)
        for site in (made.b, made.c):
            peerway(site)
        made.write(table)
        return made

    return make


def test_what_wg_quick_made_stays(quick: QuickMaker, peerway: Callable[..., Daemon]) -> None:
    """Beside wg-quick's own routes ours come at metric 4096; neither they nor AllowedIPs nor addresses are changed."""
    made = quick("auto")
    here = made.here
    made.interface.up()
    routes, pins, addresses = made.routes(ours=False), here.wg.allowed_ips(), addresses_of(made)
    made.works()
    daemon = peerway(here)
    made.routed(*made.b.networks, *made.c.networks, *made.own(made.b), *made.own(made.c))
    made.works()
    assert made.routes(ours=False) == routes
    for site in (made.b, made.c):
        assert here.holds(site) == pins[site.wg.public_key] | {f"{site.gateway}/128"}
    assert addresses_of(made) == {*addresses, f"{here.gateway}/64"}
    assert not here.differences()
    assert daemon.get("/v1/status")["interfaces"][0]["state"] == "in-sync"


@pytest.mark.parametrize("table", ["auto", "off"])
def test_up_down_and_up_again_beside_a_running_daemon(
    quick: QuickMaker, peerway: Callable[..., Daemon], table: str
) -> None:
    """An interface that wg-quick brings up gets its routes, is forgotten when it goes down, and works the next time."""
    made = quick(table)
    here = made.here
    peerway(here)
    for _ in range(2):
        made.mesh.settle(made.forgotten, "no interface to be known")
        made.interface.up()
        made.routed(*made.b.networks, *made.c.networks)
        made.works()
        if table == "off":
            assert not {line for line in made.routes(ours=False) if "proto kernel" not in line}
        here.namespace.ip("route", "add", ROUTED[0], "via", "inet6", made.b.gateway, "dev", made.interface.name)
        made.mesh.settle(lambda: ROUTED[0] in here.holds(made.b), "the routed prefix")
        made.interface.down()
    made.mesh.settle(made.forgotten, "no interface to be known")
    assert "proto 87" not in here.namespace.ip("route", "show", "table", "all")
    assert "proto 87" not in here.namespace.ip("-6", "route", "show", "table", "all")


def test_syncconf_replaces_pins_and_learned_prefixes_come_again(
    quick: QuickMaker, peerway: Callable[..., Daemon]
) -> None:
    """`wg syncconf` takes learned prefixes away with the old lists: they come again; pins and our routes follow."""
    made = quick("off")
    here, b, c, mesh = made.here, made.b, made.c, made.mesh
    made.interface.up()
    peerway(here)
    b.add_addresses(*ROUTED_ADDRESSES)
    c.add_addresses(*ADDED_ADDRESSES)
    add_routes(made, b)
    mesh.owns(here, b, *ROUTED)
    made.works()
    made.pins = {"b": [*made.own(b), b.networks[0]], "c": [*made.pins["c"], *ADDED]}
    made.write("off")
    made.interface.syncconf()
    mesh.owns(here, c, *ADDED)
    made.routed(*ADDED)
    mesh.reaches(here, c, *ADDED_ADDRESSES)
    mesh.settle(lambda: not here.route(b.networks[1]), f"our route to {b.networks[1]} to go")
    mesh.owns(here, b, *ROUTED, f"{b.gateway}/128")
    mesh.owns(here, c, f"{c.gateway}/128")
    mesh.reaches(here, b, *ROUTED_ADDRESSES)
    assert here.holds(b) == {*made.pins["b"], *ROUTED, f"{b.gateway}/128"}
    assert here.holds(c) == {*made.pins["c"], f"{c.gateway}/128"}
    assert not here.differences()


def test_syncconf_pins_what_was_learned(quick: QuickMaker, peerway: Callable[..., Daemon]) -> None:
    """A learned prefix that a changed configuration pins to another peer is that peer's, and learned again without."""
    made = quick("off")
    here, b, c, mesh = made.here, made.b, made.c, made.mesh
    made.interface.up()
    peerway(here)
    add_routes(made, b)
    mesh.owns(here, b, *ROUTED)
    before = made.pins["c"]
    made.pins["c"] = [*before, *ROUTED]
    made.write("off")
    made.interface.syncconf()
    made.routed(*ROUTED)
    for prefix in ROUTED:
        mesh.settle(lambda: here.entry(prefix)["shadowed"], f"{prefix} of b to be shadowed")  # noqa: B023 - used at once
    mesh.owns(here, c, *ROUTED)
    made.pins["c"] = before
    made.write("off")
    made.interface.syncconf()
    mesh.owns(here, b, *ROUTED)
    for prefix in ROUTED:
        mesh.settle(lambda: not here.route(prefix, "proto", "87"), f"our route to {prefix} to go")  # noqa: B023 - used at once
    assert not here.differences()


def test_syncconf_removes_a_peer_and_brings_it_back(quick: QuickMaker, peerway: Callable[..., Daemon]) -> None:
    """A peer that is not in the changed configuration goes with all it had; when it is back, so are its prefixes."""
    made = quick("off")
    here, b, c, mesh = made.here, made.b, made.c, made.mesh
    made.interface.up()
    peerway(here)
    add_routes(made, b)
    mesh.owns(here, b, *ROUTED)
    pins = made.pins
    made.pins = {"c": pins["c"]}
    made.write("off")
    made.interface.syncconf()
    for prefix in b.networks:
        mesh.settle(lambda: not here.route(prefix), f"our route to {prefix} to go")  # noqa: B023 - used at once
    for prefix in ROUTED:
        mesh.settle(lambda: here.entry(prefix)["origin"] == "unresolved", f"{prefix} to be unresolved")  # noqa: B023 - used at once
    made.pins = pins
    made.write("off")
    made.interface.syncconf()
    mesh.owns(here, b, *ROUTED)
    made.works()
    assert here.holds(c) == {*pins["c"], f"{c.gateway}/128"}


def test_a_default_route_in_a_table_of_its_own_is_left_alone(quick: QuickMaker, peerway: Callable[..., Daemon]) -> None:
    """With AllowedIPs /0 and a table in wg-quick's file, no default route of ours comes, and its own stay."""
    made = quick("51820")
    here, b = made.here, made.b
    made.pins = {"b": ["0.0.0.0/0", "::/0"]}
    made.write("51820")
    made.interface.up()
    routes = made.routes(ours=False)
    assert {line.split()[1] for line in routes if "table 51820" in line} == {"default"}
    peerway(here)
    assert made.routes(ours=False) == routes
    assert not made.routes(ours=True)
    assert here.holds(b) == {"0.0.0.0/0", "::/0", f"{b.gateway}/128"}
    assert not here.differences()


def add_routes(made: Quick, peer: Site) -> None:
    """Kernel routes through a peer, as a routing daemon would add them."""
    for prefix in ROUTED:
        via = [peer.gateway] if ":" in prefix else ["inet6", peer.gateway]
        made.here.namespace.ip("route", "add", prefix, "via", *via, "dev", made.interface.name, "proto", "bird")


def addresses_of(made: Quick) -> set[str]:
    """The addresses of the interface, without a link-local one that the kernel made."""
    lines = made.here.namespace.ip("-o", "address", "show", "dev", made.interface.name).splitlines()
    found = {line.split()[3] for line in lines}
    return {address for address in found if not address.startswith("fe80:") or address == f"{made.here.gateway}/64"}
