"""What the demo tells, step by step. Each step checks what it claims, and shows the command that one would type."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from peerway.lab.bird import program
from peerway.lab.sites import SERVICE, SERVICE6, SERVICE_ADDRESS, Site
from peerway.lab.tour import Tour


def tell(tour: Tour, sites: Sequence[Site]) -> None:
    """The whole story. Raises DemoFailedError at the first claim that does not come true."""
    berlin, paris, oslo = sites
    for site in sites:
        tour.nicknames |= {site.device.public_key: f"<{site.name}'s key>", site.gateway: f"<{site.name}>"}
    tour.striking = (SERVICE, SERVICE6)
    tour.trouble = lambda: ", ".join(filter(None, (site.trouble() for site in sites)))
    kind = "wireguard-go (this kernel has no WireGuard)" if berlin.device.userspace else "the kernel's WireGuard"
    tour.say(
        "peerway demo: three sites in network namespaces of their own; your machine is not touched. Each has BIRD, "
        f"peerway, and ONE WireGuard interface with both others as peers, made by {kind}."
    )
    tour.picture("""
        berlin  10.1.0.0/24  AS 65001 ---+
        paris   10.2.0.0/24  AS 65002 ---+--- internet
        oslo    10.3.0.0/24  AS 65003 ---+
    """)
    addresses(tour, sites)
    sessions(tour, sites)
    arrival(tour, berlin, paris)
    move(tour, berlin, paris, oslo)
    withdrawal(tour, berlin, paris, oslo)
    crash(tour, berlin, paris, oslo)
    explanation(tour, berlin, paris)


def addresses(tour: Tour, sites: Sequence[Site]) -> None:
    """Before peerway there is no AllowedIP at all; with it each peer has its derived address."""
    berlin, paris, oslo = sites
    tour.heading("Peers get addresses, from their keys")
    tour.say("The sites know each other's keys and endpoints. Nobody configured AllowedIPs, so nothing passes yet.")
    tour.check("no peer has an AllowedIP", lambda: not berlin.holds(paris) | berlin.holds(oslo))
    tour.say("peerway starts. It derives an address from each peer's key, the same on every node.")
    for site in sites:
        site.start_peerway()
    pairs = list(permutations(sites, 2))
    tour.check(
        "each peer has its derived address as AllowedIP",
        lambda: all(f"{there.gateway}/128" in here.holds(there) for here, there in pairs),
    )
    tour.say(f"In what follows, <paris> stands for {paris.gateway}, and so on; <paris's key> for its public key.")
    show_allowed_ips(tour, berlin)


def sessions(tour: Tour, sites: Sequence[Site]) -> None:
    """BGP runs over the tunnel, between the derived addresses."""
    berlin = sites[0]
    tour.heading("BGP comes up through the tunnel, between these addresses")
    for site in sites:
        site.start_bird(sites)
    pairs = list(permutations(sites, 2))
    tour.check("each site has a session with both others", lambda: all(len(s.bird.established()) == 2 for s in sites))
    command = (program("birdc"), "-s", str(berlin.bird.socket), "show", "protocols")
    tour.show(berlin.namespace, "birdc show protocols", *command, only="BGP")
    tour.check("each site reaches the networks of both others", lambda: all(reaches(*pair) for pair in pairs))


def arrival(tour: Tour, berlin: Site, paris: Site) -> None:
    """A route makes an AllowedIP, and packets pass."""
    tour.heading(f"Paris announces {SERVICE}: a route arrives, and the AllowedIP with it")
    paris.announce()
    follow(tour, berlin, paris)


def move(tour: Tour, berlin: Site, paris: Site, oslo: Site) -> None:
    """The route moves to another peer, and so does the AllowedIP."""
    tour.heading("The service moves to Oslo: the AllowedIP moves with the route")
    tour.say("WireGuard gives a prefix to one peer only. It goes over in one step, without a moment without an owner.")
    oslo.announce()
    paris.withdraw()
    follow(tour, berlin, oslo)
    tour.check("paris has nothing of it any more", lambda: not {SERVICE, SERVICE6} & berlin.holds(paris))


def withdrawal(tour: Tour, berlin: Site, paris: Site, oslo: Site) -> None:
    """The route goes, and so does the AllowedIP."""
    tour.heading("Oslo withdraws it: the AllowedIP goes with the route")
    oslo.withdraw()
    tour.check("the route is gone", lambda: not berlin.namespace.ip("route", "show", SERVICE))
    tour.check(
        "and no peer has the prefix", lambda: not {SERVICE, SERVICE6} & (berlin.holds(paris) | berlin.holds(oslo))
    )
    show_allowed_ips(tour, berlin)


def crash(tour: Tour, berlin: Site, paris: Site, oslo: Site) -> None:
    """A killed peerway leaves the traffic alone, and catches up."""
    tour.heading("kill -9: peerway dies at Berlin while the service is in Paris, and comes back")
    paris.announce()
    tour.check("the service is in Paris", lambda: {SERVICE, SERVICE6} <= berlin.holds(paris))
    before = berlin.holds(paris)
    berlin.kill_peerway()
    tour.say("peerway is dead. Routes and AllowedIPs stay as they are.")
    tour.check("packets pass as before", lambda: reaches(berlin, paris) and berlin.holds(paris) == before)
    tour.say("Now the service moves to Oslo, and nobody tells WireGuard.")
    oslo.announce()
    paris.withdraw()
    tour.check("the route leads to oslo", lambda: via(oslo) in berlin.namespace.ip("route", "show", SERVICE))
    tour.check("the AllowedIP is still at paris", lambda: SERVICE in berlin.holds(paris))
    berlin.start_peerway()
    tour.check("peerway is back, and has put it right", lambda: {SERVICE, SERVICE6} <= berlin.holds(oslo))
    tour.check("all else is as it was", lambda: berlin.holds(paris) == before - {SERVICE, SERVICE6})
    show_allowed_ips(tour, berlin)


def explanation(tour: Tour, berlin: Site, paris: Site) -> None:
    """Peerway tells a packet's way, and that all agree."""
    tour.heading("peerway explains")
    why = berlin.command("why", paris.address)
    tour.show(berlin.namespace, f"peerway why {paris.address}", *why)
    tour.check("the packet has a way", lambda: berlin.namespace.succeeds(*why))
    verify = berlin.command("verify")
    tour.show(berlin.namespace, "peerway verify", *verify)
    tour.check("kernel, WireGuard and peerway's memory agree", lambda: berlin.namespace.succeeds(*verify))


def follow(tour: Tour, berlin: Site, owner: Site) -> None:
    """Show that the service's networks lead from Berlin to `owner`: kernel route, AllowedIP, packets."""
    tour.check("BIRD's route is in the kernel", lambda: via(owner) in berlin.namespace.ip("route", "show", SERVICE))
    tour.show(berlin.namespace, f"ip route show {SERVICE}")
    tour.check(f"{owner.name} has the AllowedIP, IPv6 as well", lambda: {SERVICE, SERVICE6} <= berlin.holds(owner))
    show_allowed_ips(tour, berlin)
    ping = f"ping -c 1 -W 2 {SERVICE_ADDRESS}"
    before = received(owner)
    tour.check(f"a ping to {SERVICE_ADDRESS} comes back", lambda: berlin.namespace.succeeds(*ping.split()))
    tour.check(f"it was {owner.name} that answered", lambda: received(owner) > before)
    tour.show(berlin.namespace, ping, only="bytes from")


def show_allowed_ips(tour: Tour, site: Site) -> None:
    """The map that all this is about."""
    tour.show(site.namespace, f"wg show {site.device.name} allowed-ips")


def via(site: Site) -> str:
    """How `ip route` writes that a site is the next hop of an IPv4 route."""
    return f"via inet6 {site.gateway}"


def reaches(here: Site, there: Site) -> bool:
    """Whether a packet from one site's network to the other's is answered."""
    return here.namespace.succeeds("ping", "-c1", "-W1", "-I", here.address, there.address)


def received(site: Site) -> int:
    """The echo requests that the site has heard."""
    rows = site.namespace.run("cat", "/proc/net/snmp").splitlines()
    names, values = (row.split() for row in rows if row.startswith("Icmp:"))
    return int(values[names.index("InEchos")])
