"""FRR, unmodified, beside peerway: zebra's routes through nexthop objects and groups, BGP, static routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from peerway.lab.frr import Frr
from tests.harness.daemon import Daemon
from tests.harness.mesh import Mesh, Site, derived
from tests.harness.need import need_program

SERVICE = ("10.99.0.0/24", "2001:db8:99::/48")  # what more than one site may announce
SERVICE_ADDRESSES = ("10.99.0.1", "2001:db8:99::1")

# Sessions run between derived addresses of prefixes other than fe80::/64: bgpd 8.4 waits for ever to learn on which
# interface a link-local neighbour is (its issue 13803). Next hops may be link-local all the same.
SESSIONS = {"ipv6": "fd87:8787::/64", "ipv4": "10.237.0.0/16"}

ROUTER = """
router bgp {asn}
 bgp router-id 192.0.2.{number}
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 bgp bestpath as-path multipath-relax
 address-family ipv4 unicast
  network 10.{number}.0.0/24
  maximum-paths {paths}
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:{number}::/48
  maximum-paths {paths}
 exit-address-family
"""

NEIGHBOUR = """
 neighbor {gateway} remote-as {asn}
 neighbor {gateway} timers 3 9
 neighbor {gateway} timers connect 1
 neighbor {gateway} advertisement-interval 0
 neighbor {gateway} capability extended-nexthop
 address-family ipv4 unicast
  neighbor {gateway} activate
 exit-address-family
 address-family ipv6 unicast
  neighbor {gateway} activate
 exit-address-family
"""


@dataclass
class Speaker:
    """FRR at a site, with sessions with all others."""

    site: Site
    frr: Frr

    def start(self, others: list[Site], paths: int, prefix: str) -> None:
        site = self.site
        text = ROUTER.format(asn=site.asn, number=site.number, paths=paths)
        for other in others:
            text += NEIGHBOUR.format(gateway=derived(other.wg.public_key, prefix), asn=other.asn)
        self.frr.configure(text)

    def announce(self, *, worse: bool = False) -> None:
        """The service is here now; `worse` makes it the longer way."""
        if worse:
            self.frr.configure(f"route-map worse permit 10\nset as-path prepend {self.site.asn} {self.site.asn}\nexit")
        self._service("", " route-map worse" if worse else "")

    def withdraw(self) -> None:
        """The service is not here."""
        self._service("no ", "")

    def _service(self, no: str, how: str) -> None:
        self.frr.configure(f"""
            router bgp {self.site.asn}
            address-family ipv4 unicast
            {no}network {SERVICE[0]}{how}
            exit-address-family
            address-family ipv6 unicast
            {no}network {SERVICE[1]}{how}
            exit-address-family
        """)

    def tell(self) -> str:
        """For the reader of a failed test."""
        logs = "".join(f"{name}: {self.frr.log(name)[-2000:]}" for name in ("zebra", "staticd", "bgpd"))
        shown = (
            "show bgp summary",
            "show ip route",
            "show ipv6 route",
            "show nexthop-group rib",
            "show bgp ipv4",
            "show bgp ipv6",
        )
        return f"--- FRR\n{logs}\n{self.frr.vtysh(*shown)[-8000:]}"


FrrStarter = Callable[[Site], Frr]
Bgp = Callable[..., dict[str, Speaker]]


@pytest.fixture
def frr(home: Path) -> FrrStarter:
    """Start FRR at a site."""
    need_program("zebra", "frr")

    def start(site: Site) -> Frr:
        frr = Frr(site.namespace, home / site.name)
        frr.start()
        site.programs += frr.processes
        return frr

    return start


@pytest.fixture
def bgp(mesh: Mesh, peerway: Callable[..., Daemon], frr: FrrStarter) -> Bgp:
    """Start peerway and FRR at all sites, and wait until all sessions are up: speakers by the sites' names."""

    def start(*, paths: int = 1, over: str = "ipv6", **settings: object) -> dict[str, Speaker]:
        speakers = {}
        for site in mesh.sites:
            peerway(site, prefixes=["fe80::/64", *SESSIONS.values()], **settings)
            speakers[site.name] = speaker = Speaker(site, frr(site))
            site.tellers.append(speaker.tell)
        for speaker in speakers.values():
            speaker.start(mesh.others(speaker.site), paths, SESSIONS[over])
        for name, speaker in speakers.items():
            neighbours = {derived(site.wg.public_key, SESSIONS[over]) for site in mesh.others(speaker.site)}
            mesh.settle(lambda: speaker.frr.established() == neighbours, f"the sessions of {name}")  # noqa: B023 - used at once
        return speakers

    return start


@pytest.mark.parametrize("over", SESSIONS)
def test_sites_reach_each_other_by_bgp(mesh: Mesh, bgp: Bgp, over: str) -> None:
    """Three sites with BGP over either family have each other's networks, by routes that name nexthop objects."""
    bgp(over=over)
    for here in mesh.sites:
        for there in mesh.others(here):
            mesh.owns(here, there, *there.networks)
            mesh.reaches(here, there, *there.addresses)
            for network in there.networks:
                assert "nhid" in here.route(network)
    assert not [site.name for site in mesh.sites if site.differences()]


def test_a_prefix_is_announced_moves_and_is_withdrawn(mesh: Mesh, bgp: Bgp) -> None:
    """AllowedIPs and packets follow a prefix to the site with the shorter path, to the other one, and it goes."""
    a, b, c = mesh
    speakers = bgp()
    for site in (b, c):
        site.add_addresses(*SERVICE_ADDRESSES)
    mesh.owns(a, None, *SERVICE)
    speakers["c"].announce(worse=True)
    mesh.owns(a, c, *SERVICE)
    mesh.reaches(a, c, *SERVICE_ADDRESSES)
    speakers["b"].announce()  # preferred, while the other stands
    mesh.owns(a, b, *SERVICE)
    mesh.reaches(a, b, *SERVICE_ADDRESSES)
    speakers["b"].withdraw()
    mesh.owns(a, c, *SERVICE)
    mesh.reaches(a, c, *SERVICE_ADDRESSES)
    speakers["c"].withdraw()
    mesh.owns(a, None, *SERVICE)
    mesh.owns(a, b, *b.networks)
    assert not a.differences()


def test_of_a_nexthop_group_one_peer_has_the_prefix(mesh: Mesh, bgp: Bgp) -> None:
    """A multipath route is a group of nexthop objects: one peer has the prefix, and the other when that one leaves."""
    a, b, c = mesh
    speakers = bgp(paths=2)
    speakers["b"].announce()
    mesh.owns(a, b, *SERVICE)
    speakers["c"].announce()
    for network in SERVICE:
        mesh.settle(lambda: a.route(network).count("nexthop via") == 2, f"two ways to {network}")  # noqa: B023 - used at once
        mesh.settle(lambda: a.entry(network)["shadowed"], f"{network} of c to be shadowed")  # noqa: B023 - used at once
        (loser,) = a.entry(network)["shadowed"]
        assert loser["peer"] == c.wg.public_key
        assert "multipath" in loser["reason"]
    mesh.owns(a, b, *SERVICE)
    speakers["b"].withdraw()
    mesh.owns(a, c, *SERVICE)
    speakers["c"].withdraw()
    mesh.owns(a, None, *SERVICE)
    assert not a.differences()


def test_static_routes_over_derived_gateways(mesh: Mesh, peerway: Callable[..., Daemon], frr: FrrStarter) -> None:
    """`ip route` and `ipv6 route` of vtysh over derived gateways give AllowedIPs, which move and go with them."""
    a, b, c = mesh
    for site in mesh.sites:
        peerway(site, prefixes=["fe80::/64", *SESSIONS.values()])
    there = frr(a)
    a.tellers.append(Speaker(a, there).tell)
    for site in (b, c):
        site.add_addresses(*SERVICE_ADDRESSES)
        site.wg.set_peer(a.wg.public_key, allowed_ips=list(a.networks))  # the way back

    def set_routes(no: str, via: Site) -> None:
        there.configure(f"""
            {no}ip route {SERVICE[0]} {derived(via.wg.public_key, SESSIONS["ipv4"])} {a.wg.name}
            {no}ipv6 route {SERVICE[1]} {via.gateway} {a.wg.name}
        """)

    set_routes("", b)
    mesh.owns(a, b, *SERVICE)
    mesh.reaches(a, b, *SERVICE_ADDRESSES)
    set_routes("no ", b)
    mesh.owns(a, None, *SERVICE)
    set_routes("", c)
    mesh.owns(a, c, *SERVICE)
    mesh.reaches(a, c, *SERVICE_ADDRESSES)


def test_frr_announces_our_routes(mesh: Mesh, bgp: Bgp) -> None:
    """`redistribute kernel` takes our routes of a plain WireGuard peer with pinned AllowedIPs to the other sites."""
    a, b, c = mesh
    speakers = bgp()
    plain = mesh.add("plain")
    plain.wg.set_peer(a.wg.public_key, allowed_ips=["10.0.0.0/8", "2001:db8::/32"])
    mesh.connect(a, plain)
    for network in ("10.0.0.0/8", "2001:db8::/32"):
        plain.namespace.ip("route", "add", network, "dev", plain.wg.name)
    a.wg.set_peer(plain.wg.public_key, allowed_ips=list(plain.networks))
    speakers["a"].frr.configure(f"""
        router bgp {a.asn}
        address-family ipv4 unicast
        redistribute kernel
        exit-address-family
        address-family ipv6 unicast
        redistribute kernel
        exit-address-family
    """)
    mesh.owns(a, plain, *plain.networks)
    for site in (b, c):
        mesh.owns(site, a, *plain.networks)
        mesh.reaches(site, plain, *plain.addresses)
    a.wg.remove_peer(plain.wg.public_key)
    for site in (b, c):
        mesh.owns(site, None, *plain.networks)


def test_frrs_route_goes_before_ours_with_a_metric_that_is_a_distance(mesh: Mesh, bgp: Bgp) -> None:
    """Zebra reads the distance of a foreign route from its metric's highest byte: with 200 there, BGP's 20 wins."""
    a, b, c = mesh
    speakers = bgp(pinned="yields", metric=200 << 24)
    for site in (b, c):
        site.add_addresses(*SERVICE_ADDRESSES)
    pin_service(mesh, a, b)
    speakers["c"].announce()
    mesh.owns(a, c, *SERVICE)
    mesh.reaches(a, c, *SERVICE_ADDRESSES)
    speakers["c"].withdraw()
    mesh.owns(a, b, *SERVICE)
    mesh.reaches(a, b, *SERVICE_ADDRESSES)
    assert not a.differences()


def test_frr_leaves_a_prefix_to_our_route(mesh: Mesh, bgp: Bgp) -> None:
    """With the default metric ours is to zebra a kernel route of distance 0, so BGP's waits until ours is gone."""
    a, b, c = mesh
    speakers = bgp(pinned="yields")
    pin_service(mesh, a, b)
    speakers["c"].announce()
    for network in SERVICE:
        show = f"show {'ipv6' if ':' in network else 'ip'} route {network}"
        mesh.settle(lambda: 'via "bgp"' in speakers["a"].frr.vtysh(show), f"BGP's route to {network}")  # noqa: B023 - used at once
        assert "proto bgp" not in a.route(network)
    assert {*SERVICE} <= a.holds(b)
    a.wg.set_peer(b.wg.public_key, allowed_ips=[])
    mesh.owns(a, c, *SERVICE)


def pin_service(mesh: Mesh, here: Site, owner: Site) -> None:
    """Pin the service's networks, and wait for our routes to them."""
    here.wg.set_peer(owner.wg.public_key, allowed_ips=[*SERVICE, *owner.networks])
    for network in SERVICE:
        mesh.settle(lambda: "proto 87" in here.route(network), f"our route to {network}")  # noqa: B023 - used at once
