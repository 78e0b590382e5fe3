"""One route message, by the careful reader and by the quick one."""

from __future__ import annotations

from dataclasses import replace

from peerway.model import prefix as px
from peerway.model.route import NextHop, Path
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtrequest import RouteTemplate
from peerway.protocols.rtroute import IP6_DEFAULT_METRIC, RTA_DST, ParsedRoute, parse_route
from tests.fuzz import script
from tests.fuzz.outcome import REFUSED, Refused, outcome
from tests.harness.routes import attribute, payload_of

GATEWAYS = px.parse("10.0.0.1"), px.parse("fe80::1")
HOPS = tuple(NextHop(3, gateway) for gateway in GATEWAYS)
PATHS = (
    Path(254, 12, 32, HOPS[:1]),
    Path(1000, 4, 0, HOPS[1:]),
    Path(254, 42, 9, (NextHop(3, GATEWAYS[1], 7), NextHop(4, None, 256))),
    Path(254, 186, 20, (), 77),
)


def payloads() -> list[bytes]:
    """Routes of both families by each kind of next hop."""
    paths = [replace(path, nexthops=tuple(sorted(path.nexthops, key=lambda hop: hop.ifindex))) for path in PATHS]
    v6 = [path for path in paths if not any(hop.gateway == GATEWAYS[0] for hop in path.nexthops)]
    source = replace(PATHS[1], source=px.parse("2001:db8:1::/48"))
    return [
        *(payload_of(px.parse(net), path) for net in ("10.0.0.0/8", "0.0.0.0/0") for path in paths),
        *(payload_of(px.parse("2001:db8::/32"), path) for path in [*v6, source]),
    ]


def seeds() -> list[bytes]:
    found = payloads()
    found.append(found[0] + attribute(RTA_DST, b"\x0b\0\0\0"))  # two destinations: the last one counts
    return [script.raw([one, other]) for one, other in zip(found, found[1:] + found[:1], strict=True)]


def one(data: bytes) -> None:
    """
    Any bytes are a route, none, or a RemoteProtocolError, and the quick reader says what the careful one says, the
    second time too and whatever it has read before. A route that is asked for is read as what was asked for.
    """
    decoder = RouteDecoder()
    for payload in script.datagrams(data):
        careful = outcome(lambda: parse_route(payload))  # noqa: B023 - called at once
        told = None if careful is None else careful if isinstance(careful, Refused) else careful[:2]
        for _ in range(2):
            quick = outcome(lambda: decoder.route(payload))  # noqa: B023 - called at once
            assert quick == told
        if careful is not None and careful is not REFUSED:
            assert isinstance(careful, ParsedRoute)
            _written(careful.prefix, careful.path)


def _written(prefix: px.Prefix, path: Path) -> None:
    """What can be said in a request comes back from it."""
    if len(path.nexthops) == 1 and (path.nexthops[0].weight != 1 or path.nexthops[0] == NextHop(0)):
        return  # one next hop is written without its weight, and none has no number
    family = px.family(prefix)
    again = parse_route(RouteTemplate(family, path).payload(prefix))
    assert again is not None
    assert again.prefix == prefix
    metric = path.metric or (IP6_DEFAULT_METRIC if family == px.AF_INET6 else 0)
    assert again.path == replace(path, metric=metric)
    exact = parse_route(RouteTemplate(family, path, exact=True).payload(prefix))
    assert exact is not None
    assert exact.prefix == prefix
