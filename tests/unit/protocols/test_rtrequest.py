"""Requests for rtnetlink: what is asked reads back as it was meant."""

from __future__ import annotations

import dataclasses
import struct

from hypothesis import given

from peerway.model import prefix as px
from peerway.model.link import Address, AddressChange
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols import rtrequest, rtroute
from peerway.protocols.rtlink import RTM_NEWADDR, parse_address
from peerway.protocols.rtrequest import RouteTemplate
from peerway.protocols.rtroute import parse_route
from tests.harness.routes import routes

NET4, NET6 = px.parse("10.1.0.0/16"), px.parse("2001:db8::/32")


def flags_of(payload: bytes) -> int:
    flags: int = struct.unpack_from("=I", payload, 8)[0]
    return flags


def via(address: str | None, ifindex: int = 3) -> Path:
    return Path(254, 87, 4096, (NextHop(ifindex, address and px.parse_address(address)),))  # type: ignore[arg-type]


@given(routes())
def test_a_route_reads_back_as_it_was_asked(route: tuple[Prefix, Path]) -> None:
    """Each route that can be told can be asked for; a nexthop object stands in the place of next hops."""
    prefix, path = route
    read = parse_route(RouteTemplate(px.family(prefix), path).payload(prefix))
    assert read is not None
    assert read.prefix == prefix
    assert read.path == (dataclasses.replace(path, nexthops=()) if path.nexthop_id else path)


@given(routes())
def test_a_deletion_names_everything(route: tuple[Prefix, Path]) -> None:
    """Table, metric, protocol, type, scope and next hop are all in the request, so that nothing else can match."""
    prefix, path = route
    payload = RouteTemplate(px.family(prefix), path, exact=True).payload(prefix)
    read = parse_route(payload)
    assert read is not None
    without = [dataclasses.replace(hop, gateway=hop.gateway or rtroute.host(bytes(16))) for hop in path.nexthops]
    hops = tuple(without) if px.family(prefix) == AF_INET6 else path.nexthops
    assert read.path == dataclasses.replace(path, nexthops=() if path.nexthop_id else hops)
    assert flags_of(payload) == 0


def test_an_ipv6_route_without_a_metric_has_the_kernels() -> None:
    """IPv6 has no metric 0: it means 1024, and deleting must say so, or any metric would match."""
    path = Path(254, 87, 0, (NextHop(3),))
    read = parse_route(RouteTemplate(AF_INET6, path, exact=True).payload(NET6))
    assert read is not None
    assert read.path.metric == 1024


def test_a_gateway_that_is_not_link_local_is_taken_to_be_on_the_link() -> None:
    """RTNH_F_ONLINK is set for gateways in no connected network, and not for link-local ones, which need none."""
    cases = {"fe80::1": 0, "10.0.0.1": 4, "2001:db8::1": 4, None: 0}
    assert {a: flags_of(RouteTemplate(AF_INET, via(a)).payload(NET4)) for a in cases} == cases
    both = Path(254, 87, 0, (NextHop(3, px.parse_address("10.0.0.1"), 2), NextHop(4, px.parse_address("fe80::1"))))
    hops = nl.attributes(RouteTemplate(AF_INET, both).payload(NET4)[12:])[rtroute.RTA_MULTIPATH]
    assert (hops[2], hops[16 + 2]) == (4, 0)


def test_an_address_reads_back_with_its_protocol() -> None:
    """Addresses of both families, with and without IFA_PROTO, read back as they were asked for."""
    for text in ("10.237.1.2", "fe80::1"):
        for protocol in (0, 87):
            address = Address(3, px.parse_address(text), 16, protocol)
            assert parse_address(RTM_NEWADDR, rtrequest.address(address)) == AddressChange(address, present=True)


def test_a_lookup_names_one_address() -> None:
    """A look-up asks for the route in the table, by the whole address."""
    read = parse_route(rtrequest.lookup(px.parse_address("2001:db8::1")))
    assert read is not None
    assert read.prefix == px.parse("2001:db8::1/128")
    assert flags_of(rtrequest.lookup(px.parse_address("10.0.0.1"))) == rtroute.RTM_F_FIB_MATCH
