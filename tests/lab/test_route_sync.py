"""Route sync with real routes, a real WireGuard and the real daemon: each rule of it, on whichever kernel this is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard, allowed_ips
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon

PEERS = {name: PublicKey(bytes([number]) * 32) for number, name in enumerate(("a", "b", "c"), 1)}
LINK_LOCAL = px.parse("fe80::/64")


def gateway(peer: str) -> str:
    """The derived link-local address of a peer."""
    return px.address_text(derived_address(LINK_LOCAL, PEERS[peer]))


class Site:
    """One namespace with one interface, three peers without endpoints, and the daemon."""

    def __init__(self, wg: WireGuard, namespace: Namespace, daemon: Daemon) -> None:
        self.wg, self.namespace, self.daemon = wg, namespace, daemon

    def ip(self, command: str) -> str:
        """One command of ip-route and its kin in the namespace; `{a}` is peer a's gateway, `{dev}` the interface."""
        gateways = {name: gateway(name) for name in PEERS}
        return self.namespace.ip(*command.format(dev=self.wg.name, **gateways).split())

    def owners(self) -> dict[str, str]:
        """Who holds which prefix, derived addresses left out."""
        names = {str(key): name for name, key in PEERS.items()}
        held = self.wg.allowed_ips()
        return {
            prefix: names[key]
            for key, prefixes in held.items()
            for prefix in prefixes
            if not prefix.startswith("fe80:")
        }

    def expect(self, **prefixes: str) -> None:
        """Wait until exactly these prefixes are held, as in a="10.0.0.0/8 10.9.0.0/16"; a peer left out has none."""
        wanted = {prefix: name for name, text in prefixes.items() for prefix in text.split()}
        self.daemon.settle(lambda: self.owners() == wanted, what=f"the owners {wanted}")

    def remains(self, **prefixes: str) -> None:
        """After everything that the kernel announced was applied, exactly these prefixes are held."""
        self.daemon.request("POST", "/v1/sync")
        assert self.owners() == {prefix: name for name, text in prefixes.items() for prefix in text.split()}

    def batch(self, *commands: str) -> None:
        """Many ip(8) commands at once."""
        gateways = {name: gateway(name) for name in PEERS}
        lines = "\n".join(command.format(dev=self.wg.name, **gateways) for command in commands)
        self.namespace.run("ip", "-batch", "-", input=lines + "\n")

    def pin(self, peer: str, *prefixes: str) -> None:
        """`wg set`: replace the AllowedIPs of a peer, as an operator would; its derived address goes with them."""
        self.wg.set_peer(str(PEERS[peer]), allowed_ips=list(prefixes))

    def settle(self, predicate: Callable[[], Any], what: str) -> None:
        """Wait until something holds."""
        self.daemon.settle(predicate, what=what)

    def entry(self, prefix: str) -> dict[str, Any]:
        """The entry of a prefix in `peerway routes`, or an empty one."""
        empty: dict[str, Any] = {"origin": None, "owner": None, "shadowed": [], "refused": []}
        return next((e for e in self.daemon.get("/v1/routes")["routes"] if e["prefix"] == prefix), empty)

    def own_route(self, prefix: str, peer: str, *, on_link: bool = False) -> None:
        """Wait until our route to a prefix goes through this peer."""
        family = "-6" if ":" in prefix else "-4"
        want = "scope link" if on_link else f"via {'' if ':' in prefix else 'inet6 '}{gateway(peer)}"

        def stands() -> bool:
            lines = self.ip(f"{family} route show {prefix} proto 87").splitlines()
            return len(lines) == 1 and want in lines[0] and "metric 4096" in lines[0]

        self.settle(stands, f"our route to {prefix} through {peer}")


SiteMaker = Callable[..., Site]


@pytest.fixture
def site(wg: WireGuard, namespace: Namespace, daemon: Callable[..., Daemon]) -> SiteMaker:
    """Make the site with these settings for all interfaces."""

    def make(**settings: Any) -> Site:
        for key in PEERS.values():
            wg.set_peer(str(key), allowed_ips=[])
        return Site(wg, namespace, daemon(namespace, {"interfaces": {"*": settings}} if settings else None))

    return make


def test_a_route_arrives_moves_and_goes(site: SiteMaker) -> None:
    """An IPv4 route via inet6 makes an AllowedIP, which moves and goes with it."""
    here = site()
    here.ip("route add 10.9.0.0/24 via inet6 {a} dev {dev}")
    here.expect(a="10.9.0.0/24")
    here.ip("route replace 10.9.0.0/24 via inet6 {b} dev {dev}")
    here.expect(b="10.9.0.0/24")
    here.ip("route del 10.9.0.0/24")
    here.expect()


def test_two_withdrawals_within_an_instant_both_count(site: SiteMaker) -> None:
    """Two routes withdrawn within milliseconds are both gone, and neither brings the other back."""
    here = site()
    here.ip("route add 10.1.0.0/24 via inet6 {a} dev {dev}")
    here.ip("route add 10.2.0.0/24 via inet6 {a} dev {dev}")
    here.ip("route add 10.3.0.0/24 via inet6 {a} dev {dev}")
    here.expect(a="10.1.0.0/24 10.2.0.0/24 10.3.0.0/24")
    here.batch("route del 10.1.0.0/24", "route del 10.2.0.0/24")
    here.expect(a="10.3.0.0/24")
    here.remains(a="10.3.0.0/24")


def test_aggregated_neighbours_are_one_allowed_ip(site: SiteMaker) -> None:
    """`aggregate: true`: neighbours of one peer are one AllowedIP, come apart, and go with their routes."""
    here = site(aggregate=True)
    here.batch(*(f"route add 10.9.{net}.0/24 via inet6 {{a}} dev {{dev}}" for net in range(4)))
    here.expect(a="10.9.0.0/22")
    here.ip("route replace 10.9.1.0/24 via inet6 {b} dev {dev}")
    here.expect(a="10.9.0.0/22", b="10.9.1.0/24")
    here.pin("c", "10.9.2.0/24")
    here.expect(a="10.9.0.0/22", b="10.9.1.0/24", c="10.9.2.0/24")
    here.remains(a="10.9.0.0/22", b="10.9.1.0/24", c="10.9.2.0/24")
    assert here.entry("10.9.3.0/24")["aggregated"]
    assert here.daemon.request("POST", "/v1/verify")["differences"] == []
    here.batch("route del 10.9.0.0/24", "route del 10.9.1.0/24")
    here.expect(a="10.9.2.0/23", c="10.9.2.0/24")


def test_the_daemons_metric_goes_before_ours(site: SiteMaker) -> None:
    """A routing daemon's route at metric 32 stands beside our own at 4096, and the prefix follows the daemon's."""
    here = site(pinned="yields")
    here.pin("a", "10.9.0.0/24")
    here.own_route("10.9.0.0/24", "a")
    here.ip("route add 10.9.0.0/24 via inet6 {b} dev {dev} proto bird metric 32")
    here.expect(b="10.9.0.0/24")
    assert "proto bird" in here.ip("route get 10.9.0.1 fibmatch")
    here.ip("route del 10.9.0.0/24 proto bird metric 32")
    here.expect(a="10.9.0.0/24")
    here.own_route("10.9.0.0/24", "a")


def test_a_default_route_is_learned(site: SiteMaker) -> None:
    """Default routes of both families by a peer's gateway make its AllowedIPs 0.0.0.0/0 and ::/0."""
    here = site()
    here.ip("-4 route add default via inet6 {a} dev {dev}")
    here.ip("-6 route add default via {b} dev {dev}")
    here.expect(a="0.0.0.0/0", b="::/0")
    here.ip("-4 route del default")
    here.ip("-6 route del default")
    here.expect()


def test_a_pinned_default_is_left_alone(site: SiteMaker) -> None:
    """A pinned /0 gives no route unless `default_route: true`."""
    here = site()
    here.pin("a", "0.0.0.0/0", "10.1.0.0/16")
    here.own_route("10.1.0.0/16", "a")
    assert "default" not in here.ip("route show table all proto 87")


def test_a_pinned_default_is_routed_on_request(site: SiteMaker) -> None:
    """With `default_route: true` a pinned /0 gives a default route with our protocol and metric."""
    here = site(default_route=True)
    here.pin("a", "0.0.0.0/0")
    here.own_route("default", "a")


def test_a_longer_prefix_is_kept_below_a_shorter_one_of_the_same_peer(site: SiteMaker) -> None:
    """10.9.9.0/24 stays at a though a has 10.0.0.0/8, since b holds 10.9.0.0/16 between."""
    here = site()
    here.ip("route add 10.0.0.0/8 via inet6 {a} dev {dev}")
    here.ip("route add 10.9.0.0/16 via inet6 {b} dev {dev}")
    here.ip("route add 10.9.9.0/24 via inet6 {a} dev {dev}")
    here.expect(a="10.0.0.0/8 10.9.9.0/24", b="10.9.0.0/16")


def test_a_peer_is_removed_under_live_routes_and_comes_back(site: SiteMaker) -> None:
    """The routes of a removed peer name nobody; when it returns they name it again."""
    here = site()
    here.ip("route add 10.9.0.0/24 via inet6 {b} dev {dev}")
    here.expect(b="10.9.0.0/24")
    here.wg.remove_peer(str(PEERS["b"]))
    here.settle(lambda: here.entry("10.9.0.0/24")["origin"] == "unresolved", "the route to be unresolved")
    here.wg.set_peer(str(PEERS["b"]))
    here.expect(b="10.9.0.0/24")


def test_a_route_that_stood_before_the_daemon_counts(wg: WireGuard, namespace: Namespace, site: SiteMaker) -> None:
    """Routes from before the start, and from before their peer, count as soon as both are there."""
    wg.namespace.ip("route", "add", "10.9.0.0/24", "via", "inet6", gateway("c"), "dev", wg.name)
    here = site()
    here.expect(c="10.9.0.0/24")
    late = PublicKey(bytes([9]) * 32)
    late_gateway = px.address_text(derived_address(LINK_LOCAL, late))
    here.ip("route add 10.8.0.0/24 via inet6 " + late_gateway + " dev {dev}")
    here.settle(lambda: here.entry("10.8.0.0/24")["origin"] == "unresolved", "the early route to be unresolved")
    wg.set_peer(str(late))
    here.settle(lambda: "10.8.0.0/24" in wg.allowed_ips().get(str(late), ()), "the late peer to have its prefix")


def test_every_form_of_next_hop_counts(site: SiteMaker) -> None:
    """IPv4 via IPv4, via inet6, IPv6, multipath, and nexthop objects, replaced and in groups."""
    here = site(pinned="wins")
    here.pin("c", "10.255.0.3/32")
    here.own_route("10.255.0.3", "c", on_link=True)
    here.ip("route add 10.1.0.0/16 via 10.255.0.3 dev {dev}")
    here.ip("route add 10.2.0.0/16 via inet6 {a} dev {dev}")
    here.ip("-6 route add 2001:db8:3::/48 via {b} dev {dev}")
    here.ip("route add 10.4.0.0/16 nexthop via inet6 {a} dev {dev} weight 1 nexthop via inet6 {b} dev {dev} weight 9")
    here.ip("nexthop add id 5 via {a} dev {dev}")
    here.ip("nexthop add id 7 group 5")
    here.ip("route add 10.5.0.0/16 nhid 5")
    here.ip("-6 route add 2001:db8:5::/48 nhid 5")
    here.ip("route add 10.7.0.0/16 nhid 7")
    mine = "10.2.0.0/16 10.5.0.0/16 2001:db8:5::/48 10.7.0.0/16"
    here.expect(a=mine, b="2001:db8:3::/48 10.4.0.0/16", c="10.255.0.3/32 10.1.0.0/16")
    here.ip("nexthop replace id 5 via {b} dev {dev}")
    here.expect(
        a="10.2.0.0/16",
        b="2001:db8:3::/48 10.4.0.0/16 10.5.0.0/16 2001:db8:5::/48 10.7.0.0/16",
        c="10.255.0.3/32 10.1.0.0/16",
    )
    here.ip("nexthop del id 5")
    here.expect(a="10.2.0.0/16", b="2001:db8:3::/48 10.4.0.0/16", c="10.255.0.3/32 10.1.0.0/16")


def test_a_nexthop_object_is_followed_without_compat_mode(site: SiteMaker) -> None:
    """With nexthop_compat_mode off the kernel tells of the object alone, and its routes follow all the same."""
    here = site()
    here.namespace.run("sysctl", "-qw", "net.ipv4.nexthop_compat_mode=0")
    here.ip("nexthop add id 5 via {a} dev {dev}")
    here.ip("route add 10.5.0.0/16 nhid 5")
    here.expect(a="10.5.0.0/16")
    here.ip("nexthop replace id 5 via {c} dev {dev}")
    here.expect(c="10.5.0.0/16")


def test_multipath_keeps_the_present_owner(site: SiteMaker) -> None:
    """Of several peers at equal rank the present owner stays, and the others are shadowed with the reason."""
    here = site()
    here.ip("route add 10.4.0.0/16 via inet6 {a} dev {dev}")
    here.expect(a="10.4.0.0/16")
    here.ip("route replace 10.4.0.0/16 nexthop via inet6 {a} dev {dev} nexthop via inet6 {b} dev {dev} weight 20")
    here.remains(a="10.4.0.0/16")
    here.settle(lambda: here.entry("10.4.0.0/16")["shadowed"], "b to be shadowed")
    (loser,) = here.entry("10.4.0.0/16")["shadowed"]
    assert loser["peer"] == str(PEERS["b"])
    assert "multipath" in loser["reason"]
    here.ip("-6 route add 2001:db8::/32 via {a} dev {dev}")
    here.ip("-6 route append 2001:db8::/32 via {b} dev {dev}")
    here.expect(a="10.4.0.0/16 2001:db8::/32")
    here.ip("-6 route del 2001:db8::/32 via {a} dev {dev}")
    here.expect(a="10.4.0.0/16", b="2001:db8::/32")


def test_tables_and_protocols_that_are_not_listed_do_not_count(site: SiteMaker) -> None:
    """Only listed tables, in their order, and protocols that pass the filter."""
    here = site(tables=[100, "main"], protocols=["*", "!static"])
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev} table 200 proto bird")
    here.ip("route add 10.2.0.0/16 via inet6 {a} dev {dev} proto static")
    here.ip("route add 10.3.0.0/16 via inet6 {a} dev {dev} proto bird metric 5")
    here.ip("route add 10.3.0.0/16 via inet6 {b} dev {dev} table 100 proto bird metric 50")
    here.expect(b="10.3.0.0/16")
    here.ip("route del 10.3.0.0/16 table 100")
    here.expect(a="10.3.0.0/16")


def test_link_down_and_up(site: SiteMaker) -> None:
    """A link that goes down takes its routes silently; the AllowedIPs follow, and our own routes return with it."""
    here = site()
    here.pin("c", "10.200.0.0/16")
    here.own_route("10.200.0.0/16", "c")
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev}")
    here.expect(a="10.1.0.0/16", c="10.200.0.0/16")
    here.ip("link set {dev} down")
    here.expect(c="10.200.0.0/16")
    here.ip("link set {dev} up")
    here.own_route("10.200.0.0/16", "c")
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev}")
    here.expect(a="10.1.0.0/16", c="10.200.0.0/16")


def test_appended_and_prepended_routes(site: SiteMaker) -> None:
    """Of IPv4 routes with one prefix, table and metric the first counts; when it goes, the next does."""
    here = site()
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev}")
    here.ip("route append 10.1.0.0/16 via inet6 {b} dev {dev}")
    here.expect(a="10.1.0.0/16")
    here.ip("route prepend 10.1.0.0/16 via inet6 {c} dev {dev}")
    here.expect(c="10.1.0.0/16")
    here.ip("route replace 10.1.0.0/16 via inet6 {b} dev {dev} metric 0 proto static")
    here.expect(b="10.1.0.0/16")
    here.ip("route del 10.1.0.0/16")
    here.expect(a="10.1.0.0/16")
    here.ip("route del 10.1.0.0/16")
    here.expect(b="10.1.0.0/16")


def test_the_metric_decides(site: SiteMaker) -> None:
    """The lowest metric has the prefix, for both families; the one behind it is shadowed until then."""
    here = site()
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev} metric 20")
    here.ip("route add 10.1.0.0/16 via inet6 {b} dev {dev} metric 10")
    here.ip("-6 route add 2001:db8::/32 via {a} dev {dev} metric 20")
    here.ip("-6 route add 2001:db8::/32 via {b} dev {dev} metric 10")
    here.expect(b="10.1.0.0/16 2001:db8::/32")
    assert here.entry("10.1.0.0/16")["shadowed"]
    here.ip("route del 10.1.0.0/16 metric 10")
    here.ip("-6 route del 2001:db8::/32 metric 10")
    here.expect(a="10.1.0.0/16 2001:db8::/32")


def test_ten_thousand_routes_in_one_batch(site: SiteMaker) -> None:
    """10,000 routes added, moved to another peer, and withdrawn at once end exactly right."""
    here = site()
    prefixes = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(10_000)]
    for verb, peer in (("add", "a"), ("replace", "b")):
        here.batch(*(f"route {verb} {prefix} via inet6 {{{peer}}} dev {{dev}}" for prefix in prefixes))
        here.expect(**{peer: " ".join(prefixes)})
    here.batch(*(f"route del {prefix}" for prefix in prefixes[:5000]))
    here.expect(b=" ".join(prefixes[5000:]))
    assert here.daemon.request("POST", "/v1/verify")["differences"] == []


def test_the_limit_refuses_what_is_over_it(site: SiteMaker) -> None:
    """Over `max_prefixes` a peer learns nothing more; what it has stays, and there is room again when one goes."""
    here = site(max_prefixes=2)
    for number in (1, 2, 3):
        here.ip(f"route add 10.{number}.0.0/16 via inet6 {{a}} dev {{dev}}")
        here.expect(a=" ".join(f"10.{n}.0.0/16" for n in range(1, min(number, 2) + 1)))
    here.settle(lambda: here.entry("10.3.0.0/16")["refused"], "the third to be refused")
    assert "max_prefixes" in here.entry("10.3.0.0/16")["refused"][0]["reason"]
    here.ip("route del 10.1.0.0/16")
    here.expect(a="10.2.0.0/16 10.3.0.0/16")


def test_what_is_outside_the_accept_list_is_refused(site: SiteMaker) -> None:
    """A prefix that the accept list does not have stays where it was, and is reported as refused."""
    accept = {"b": {"public_key": str(PEERS["b"]), "accept": ["10.0.0.0/8 le 16"]}}
    here = site(peers=accept)
    here.ip("route add 10.1.1.0/24 via inet6 {a} dev {dev}")
    here.ip("route add 10.2.0.0/16 via inet6 {b} dev {dev}")
    here.ip("route add 192.168.0.0/16 via inet6 {b} dev {dev}")
    here.expect(a="10.1.1.0/24", b="10.2.0.0/16")
    here.ip("route replace 10.1.1.0/24 via inet6 {b} dev {dev}")
    here.settle(lambda: here.entry("10.1.1.0/24")["refused"], "the move to be refused")
    here.remains(a="10.1.1.0/24", b="10.2.0.0/16")
    assert "accept" in here.entry("192.168.0.0/16")["refused"][0]["reason"]


def test_two_peers_with_one_gateway_name_nobody(site: SiteMaker) -> None:
    """An address that is the gateway of two peers names neither; `why` says so."""
    here = site()
    here.pin("a", gateway("b") + "/128")
    here.settle(lambda: gateway("b") + "/128" in here.wg.allowed_ips()[str(PEERS["a"])], "the pinned gateway")
    here.ip("route add 10.9.0.0/24 via inet6 {b} dev {dev}")
    here.settle(lambda: here.entry("10.9.0.0/24")["origin"] == "unresolved", "the route to be unresolved")
    assert "two peers" in here.entry("10.9.0.0/24")["reason"]
    assert not here.daemon.get("/v1/why", target="10.9.0.1")["reachable"]


def test_pinned_goes_before_learned_and_is_never_touched(site: SiteMaker) -> None:
    """By default a pinned AllowedIP stays with its peer, and the route's peer is shadowed with the reason."""
    here = site()
    here.pin("a", "10.9.0.0/24")
    here.own_route("10.9.0.0/24", "a")
    here.ip("route add 10.9.0.0/24 via inet6 {b} dev {dev} metric 32")
    here.settle(lambda: here.entry("10.9.0.0/24")["shadowed"], "b to be shadowed")
    here.remains(a="10.9.0.0/24")
    here.pin("a")
    here.expect(b="10.9.0.0/24")
    assert "proto 87" not in here.ip("route show 10.9.0.0/24")


def test_a_foreign_route_in_our_place_stays(site: SiteMaker) -> None:
    """Where another program's route has our table and metric, it stays, and ours is reported as refused."""
    here = site()
    here.ip("route add 10.9.0.0/24 dev lo metric 4096 proto static")
    here.pin("a", "10.9.0.0/24")
    here.settle(lambda: "exists" in here.entry("10.9.0.0/24").get("reason", "").lower(), "the refusal to be told")
    assert here.ip("route show 10.9.0.0/24").strip() == "10.9.0.0/24 dev lo proto static scope link metric 4096"


def test_a_move_of_a_pinned_prefix_moves_our_route(site: SiteMaker) -> None:
    """Our route follows the pinned AllowedIP to its new peer, and goes with it."""
    here = site()
    here.pin("a", "10.9.0.0/24", "2001:db8::/32")
    here.own_route("10.9.0.0/24", "a")
    here.own_route("2001:db8::/32", "a")
    here.pin("b", "10.9.0.0/24", "2001:db8::/32")
    here.own_route("10.9.0.0/24", "b")
    here.own_route("2001:db8::/32", "b")
    here.pin("b")
    here.settle(lambda: "2001:db8" not in here.ip("-6 route show proto 87"), "our IPv6 route to go")
    here.settle(lambda: not here.ip("-4 route show proto 87"), "our IPv4 route to go")


def test_a_restart_after_a_kill_takes_up_where_the_dead_one_was(site: SiteMaker) -> None:
    """Routes withdrawn and AllowedIPs pinned while the daemon was dead are handled as if it had lived."""
    here = site()
    here.pin("c", "10.200.0.0/16")
    here.own_route("10.200.0.0/16", "c")
    for number in (1, 2, 3):
        here.ip(f"route add 10.{number}.0.0/16 via inet6 {{a}} dev {{dev}}")
    here.expect(a="10.1.0.0/16 10.2.0.0/16 10.3.0.0/16", c="10.200.0.0/16")
    here.daemon.kill()
    here.ip("route del 10.1.0.0/16")
    here.ip("route replace 10.2.0.0/16 via inet6 {b} dev {dev}")
    here.pin("c", "10.201.0.0/16")
    here.daemon.start()
    here.expect(a="10.3.0.0/16", b="10.2.0.0/16", c="10.201.0.0/16")
    here.own_route("10.201.0.0/16", "c")
    here.settle(lambda: "10.200." not in here.ip("route show proto 87"), "the former own route to go")


def test_a_clean_stop_keeps_or_flushes(site: SiteMaker) -> None:
    """`on_stop: keep` leaves the data plane as it is, `flush` takes away all that is ours and nothing else."""
    here = site(on_stop="flush")
    here.pin("c", "10.200.0.0/16")
    here.own_route("10.200.0.0/16", "c")
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev}")
    here.expect(a="10.1.0.0/16", c="10.200.0.0/16")
    before = here.wg.allowed_ips()
    assert any(prefix.startswith("fe80:") for prefix in before[str(PEERS["b"])])
    assert here.daemon.stop() == 0
    assert here.wg.allowed_ips() == {str(PEERS["a"]): set(), str(PEERS["b"]): set(), str(PEERS["c"]): {"10.200.0.0/16"}}
    assert "10.1.0.0/16" in here.ip("route show")
    assert "proto 87" not in here.ip("route show table all")


def test_the_interface_may_be_renamed(site: SiteMaker) -> None:
    """A renamed interface keeps what was learned, and is known by its new name."""
    here = site()
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev {dev}")
    here.expect(a="10.1.0.0/16")
    if here.wg.userspace:
        pytest.skip("a renamed TUN loses its userspace WireGuard: the socket is named after the interface")
    here.ip("link set {dev} down")
    here.ip("link set {dev} name renamed0")
    here.ip("link set renamed0 up")
    here.ip("route add 10.1.0.0/16 via inet6 {a} dev renamed0")
    here.settle(lambda: here.daemon.get("/v1/status")["interfaces"][0]["name"] == "renamed0", "the new name")
    here.settle(lambda: here.entry("10.1.0.0/16")["origin"] == "learned", "the route to count again")
    assert "10.1.0.0/16" in allowed_ips(here.namespace, "renamed0")[str(PEERS["a"])]


def test_the_derived_link_local_is_the_only_one(site: SiteMaker) -> None:
    """Sockets on the interface get the derived address as source: the kernel's random one on a TUN goes, for good."""
    here = site()
    own = px.address_text(derived_address(LINK_LOCAL, PublicKey.parse(here.wg.public_key)))

    def addresses() -> list[str]:
        return [
            line.split()[1]
            for line in here.ip("-6 -o addr show dev {dev}").replace("inet6", "\ninet6").splitlines()
            if line.startswith("inet6")
        ]

    here.settle(lambda: addresses() == [f"{own}/64"], f"{own} alone")
    here.ip("link set {dev} down")
    here.ip("link set {dev} up")
    here.settle(lambda: addresses() == [f"{own}/64"], f"{own} alone, after down and up")
    source = here.namespace.run(
        "python3",
        "-c",
        "import socket,sys; s=socket.socket(socket.AF_INET6, socket.SOCK_DGRAM);"
        f"s.connect(('{gateway('a')}', 9, 0, socket.if_nametoindex('{here.wg.name}'))); print(s.getsockname()[0])",
    )
    assert source.split("%")[0].strip() == own


def test_ipv4_addresses_are_derived_as_well(site: SiteMaker) -> None:
    """Under an IPv4 prefix each peer has a derived gateway too, and IPv4 routes of ours go by it."""
    here = site(prefixes=["fe80::/64", "10.237.0.0/16"])
    prefix = px.parse("10.237.0.0/16")
    own = px.address_text(derived_address(prefix, PublicKey.parse(here.wg.public_key)))
    theirs = px.address_text(derived_address(prefix, PEERS["a"]))
    here.settle(lambda: f"{own}/16" in here.ip("-4 addr show dev {dev}"), "the derived IPv4 address")
    here.ip("route add 10.1.0.0/16 via " + theirs)
    here.pin("a", "10.2.0.0/16")
    here.settle(lambda: f"via {theirs} " in here.ip("route show 10.2.0.0/16 proto 87"), "our route by the IPv4 gateway")
    here.settle(lambda: here.owners().get("10.1.0.0/16") == "a", "the route by an IPv4 gateway to count")
    assert here.owners()[f"{theirs}/32"] == "a"


def test_interfaces_come_and_go(namespace: Namespace, daemon: Callable[..., Daemon]) -> None:
    """A device that comes later is taken up, one that is recreated with the same name starts anew."""
    running = daemon(namespace)
    assert running.get("/v1/status")["interfaces"] == []
    for peer, other in (("a", "b"), ("b", "a")):
        device = wireguard.create(namespace, "come0" if wireguard.kernel_has_wireguard() else None)
        device.set_peer(str(PEERS[peer]), allowed_ips=["10.200.0.0/16"])
        device.set_peer(str(PEERS[other]), allowed_ips=[])
        here = Site(device, namespace, running)
        here.ip("route add 10.1.0.0/16 via inet6 {" + other + "} dev {dev}")
        here.expect(**{peer: "10.200.0.0/16", other: "10.1.0.0/16"})
        here.own_route("10.200.0.0/16", peer)
        device.delete()
        here.settle(lambda: running.get("/v1/status")["interfaces"] == [], "the interface to be forgotten")
