"""BIRD 2, unmodified, beside peerway: BGP through the tunnels, routes become AllowedIPs, and ours are announced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from peerway.lab.bird import Bird
from tests.harness.daemon import Daemon
from tests.harness.mesh import Mesh, Site
from tests.harness.need import need_program

SERVICE = ("10.99.0.0/24", "2001:db8:99::/48")  # what more than one site may announce
SERVICE_ADDRESSES = ("10.99.0.1", "2001:db8:99::1")

HEAD = """
log stderr {{ warning, error, fatal, bug }};
router id 192.0.2.{number};
protocol device {{ scan time 1; }}
protocol kernel {{ ipv4 {{ import {learned}; export where source = RTS_BGP; }}; {learn} scan time 1; }}
protocol kernel {{ ipv6 {{ import {learned}; export where source = RTS_BGP; }}; {learn} scan time 1; }}
protocol static networks4 {{ ipv4; route 10.{number}.0.0/24 blackhole; }}
protocol static networks6 {{ ipv6; route 2001:db8:{number}::/48 blackhole; }}
protocol static service4 {{ disabled; ipv4; route 10.99.0.0/24 blackhole; }}
protocol static service6 {{ disabled; ipv6; route 2001:db8:99::/48 blackhole; }}
"""

SESSION = """
protocol bgp {name} {{
    local {local} as {own}; neighbor {gateway}%'{device}' as {asn}; direct;
    connect delay time 1; connect retry time 1; error wait time 1, 2;
    ipv4 {{ extended next hop; next hop self; export where source != RTS_BGP;
        import filter {{ bgp_local_pref = {preference}; accept; }}; }};
    ipv6 {{ next hop self; export where source != RTS_BGP;
        import filter {{ bgp_local_pref = {preference}; accept; }}; }};
}}
"""


@dataclass
class Speaker:
    """BIRD at a site: sessions with all others, of whom those with a lower number are preferred."""

    site: Site
    bird: Bird

    def start(self, others: list[Site], *, learn: bool) -> None:
        site = self.site
        learned = "all" if learn else "none"
        text = HEAD.format(number=site.number, learn="learn;" if learn else "", learned=learned)
        for other in others:
            text += SESSION.format(
                name=other.name,
                local=site.gateway,
                own=site.asn,
                gateway=other.gateway,
                device=site.wg.name,
                asn=other.asn,
                preference=100 - other.number,
            )
        site.programs.append(self.bird.start(text))

    def announce(self) -> None:
        """The service is here now."""
        self.bird.ask("enable", '"service*"')

    def withdraw(self) -> None:
        """The service is not here."""
        self.bird.ask("disable", '"service*"')

    def stop(self) -> None:
        """BIRD ends, and takes its routes away."""
        self.site.programs.clear()
        self.bird.ask("down")

    def tell(self) -> str:
        """For the reader of a failed test."""
        told = "\n".join(self.bird.ask(*words) for words in (("show", "protocols"), ("show", "route", "all")))
        return f"--- BIRD\n{self.bird.log.read_text()[-3000:]}\n{told[-6000:]}"


Bgp = Callable[..., dict[str, Speaker]]


@pytest.fixture
def bgp(mesh: Mesh, home: Path, peerway: Callable[..., Daemon]) -> Bgp:
    """Start peerway and BIRD at all sites, and wait until all sessions are up: speakers by the sites' names."""
    need_program("bird", "bird2")

    def start(*, learn: bool = False, **settings: object) -> dict[str, Speaker]:
        speakers = {}
        for site in mesh.sites:
            peerway(site, **settings)
            speakers[site.name] = speaker = Speaker(site, Bird(site.namespace, home, site.name))
            site.tellers.append(speaker.tell)
        for speaker in speakers.values():
            speaker.start(mesh.others(speaker.site), learn=learn)
        names = {site.name for site in mesh.sites}
        for name, speaker in speakers.items():
            mesh.settle(lambda: speaker.bird.established() == names - {name}, f"the sessions of {name}")  # noqa: B023 - used at once
        return speakers

    return start


def test_sites_reach_each_other_by_bgp(mesh: Mesh, bgp: Bgp) -> None:
    """Three sites with BGP over derived link-local addresses have each other's networks, IPv4 via IPv6 as well."""
    bgp()
    for here in mesh.sites:
        for there in mesh.others(here):
            mesh.owns(here, there, *there.networks)
            mesh.reaches(here, there, *there.addresses)
            assert f"via inet6 {there.gateway}" in here.route(there.networks[0])
    assert not [site.name for site in mesh.sites if site.differences()]


def test_a_prefix_is_announced_moves_and_is_withdrawn(mesh: Mesh, bgp: Bgp) -> None:
    """AllowedIPs and packets follow a prefix to the preferred site, to the other one, back, and it goes."""
    a, b, c = mesh
    speakers = bgp()
    for site in (b, c):
        site.add_addresses(*SERVICE_ADDRESSES)
    mesh.owns(a, None, *SERVICE)
    speakers["c"].announce()
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


def test_prefixes_follow_when_a_session_ends(mesh: Mesh, bgp: Bgp) -> None:
    """What a site announced goes with its session, and comes back with it."""
    a, b, c = mesh
    speakers = bgp()
    speakers["b"].announce()
    mesh.owns(a, b, *SERVICE, *b.networks)
    speakers["a"].bird.ask("disable", "b")
    mesh.owns(a, None, *SERVICE, *b.networks)
    mesh.owns(a, c, *c.networks)
    speakers["a"].bird.ask("enable", "b")
    mesh.owns(a, b, *SERVICE, *b.networks)


def test_bird_learns_our_routes_and_announces_them(mesh: Mesh, bgp: Bgp) -> None:
    """A plain WireGuard peer with pinned AllowedIPs at one site is reached from the others, through BIRD's `learn`."""
    a, b, c = mesh
    speakers = bgp(learn=True)
    plain = mesh.add("plain")
    plain.wg.set_peer(a.wg.public_key, allowed_ips=["10.0.0.0/8", "2001:db8::/32"])
    mesh.connect(a, plain)
    for network in ("10.0.0.0/8", "2001:db8::/32"):
        plain.namespace.ip("route", "add", network, "dev", plain.wg.name)
    a.wg.set_peer(plain.wg.public_key, allowed_ips=list(plain.networks))
    for network in plain.networks:
        mesh.settle(lambda: "proto 87" in a.route(network), f"our route to {network}")  # noqa: B023 - used at once
    mesh.owns(a, plain, *plain.networks)
    for site in (b, c):
        mesh.owns(site, a, *plain.networks)
        mesh.reaches(site, plain, *plain.addresses)
    a.wg.remove_peer(plain.wg.public_key)
    for site in (b, c):
        mesh.owns(site, None, *plain.networks)
    assert "exported" in speakers["a"].bird.ask("show", "protocols", "all", "b")


@pytest.mark.parametrize("learn", [False, True], ids=["alone", "learn"])
def test_birds_route_goes_before_ours(mesh: Mesh, bgp: Bgp, learn: bool) -> None:
    """BIRD's metric 32 wins over our 4096 where pinned prefixes yield; after its withdrawal ours is used again."""
    a, b, c = mesh
    speakers = bgp(learn=learn, pinned="yields")
    for site in (b, c):
        site.add_addresses(*SERVICE_ADDRESSES)
    a.wg.set_peer(b.wg.public_key, allowed_ips=[*SERVICE, *b.networks])
    mesh.owns(a, b, *SERVICE)
    for network in SERVICE:
        mesh.settle(lambda: "metric 4096" in a.route(network, "proto", "87"), f"our route to {network}")  # noqa: B023 - used at once
    mesh.reaches(a, b, *SERVICE_ADDRESSES)
    speakers["c"].announce()
    mesh.owns(a, c, *SERVICE)
    for network in SERVICE:
        lines = a.route(network)
        assert "metric 32" in lines
        assert "metric 4096" in lines
    mesh.reaches(a, c, *SERVICE_ADDRESSES)
    speakers["c"].withdraw()
    mesh.owns(a, b, *SERVICE)
    mesh.reaches(a, b, *SERVICE_ADDRESSES)
    assert "metric 32" not in a.route(SERVICE[0])
    assert not a.differences()


def test_a_pinned_prefix_stays_beside_birds_route(mesh: Mesh, bgp: Bgp) -> None:
    """By default a pinned AllowedIP stays where it is while BIRD routes the prefix elsewhere, and the loser is told."""
    a, b, c = mesh
    speakers = bgp()
    a.wg.set_peer(b.wg.public_key, allowed_ips=[*SERVICE])
    for network in SERVICE:
        mesh.settle(lambda: "metric 4096" in a.route(network, "proto", "87"), f"our route to {network}")  # noqa: B023 - used at once
    speakers["c"].announce()
    for network in SERVICE:
        mesh.settle(lambda: a.entry(network)["shadowed"], f"{network} of c to be shadowed")  # noqa: B023 - used at once
        (loser,) = a.entry(network)["shadowed"]
        assert loser["peer"] == c.wg.public_key
    assert {*SERVICE} <= a.holds(b)
    a.wg.set_peer(b.wg.public_key, allowed_ips=[])
    mesh.owns(a, c, *SERVICE)


def test_bird_and_peerway_may_die_in_any_order(mesh: Mesh, bgp: Bgp) -> None:
    """Routes that BIRD changed while peerway was dead are followed when it is back; BIRD's end takes its prefixes."""
    a, b, c = mesh
    speakers = bgp()
    speakers["b"].announce()
    mesh.owns(a, b, *SERVICE)
    assert a.daemon is not None
    a.daemon.kill()
    speakers["c"].announce()
    speakers["b"].withdraw()
    for network in SERVICE:
        mesh.settle(lambda: c.gateway in a.route(network), f"BIRD's route to {network} to move")  # noqa: B023 - used at once
    assert {*SERVICE} <= a.holds(b)
    a.daemon.start()
    mesh.owns(a, c, *SERVICE)
    speakers["a"].stop()
    mesh.owns(a, None, *SERVICE, *b.networks, *c.networks)
    assert not a.differences()
