"""The routing table of a real kernel: all forms of routes as `ip route` makes them, and what peerway makes itself."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from peerway.backends.rtnetlink import READ_FIRST, Rtnetlink
from peerway.lab.namespace import Namespace
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.link import Address, AddressChange, LinkChange
from peerway.model.ports import Change, Gap, Refusal
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.route import (
    KINDS,
    RTPROT_KERNEL,
    NextHop,
    NexthopChange,
    NexthopObject,
    Path,
    RouteChange,
    RouteChangeKind,
    RouteColumns,
    RouteGroup,
)
from peerway.protocols import rtrequest
from peerway.protocols.rtroute import parse_route
from tests.harness.waiting import settle

BOOT, BIRD, OURS = 3, 12, 87
LINK = 253
ADDED, APPENDED, PREPENDED = RouteChangeKind.ADDED, RouteChangeKind.APPENDED, RouteChangeKind.PREPENDED
REPLACED, DELETED = RouteChangeKind.REPLACED, RouteChangeKind.DELETED
V4, V6 = px.parse("10.1.0.0/24"), px.parse("fd01::/64")


Route = tuple[Prefix, Path]


def grouped(routes: list[Route]) -> list[RouteGroup]:
    """Routes as they are written: neighbours of one path and family together."""
    groups: list[RouteGroup] = []
    for (path, family), part in itertools.groupby(routes, key=lambda route: (route[1], px.family(route[0]))):
        groups.append((path, cl.make(family, [prefix for prefix, _ in part])))
    return groups


def objects(changes: list[Change | Gap]) -> list[Change | Gap]:
    """Changes with each route on its own."""
    found: list[Change | Gap] = []
    for change in changes:
        if isinstance(change, RouteColumns):
            assert change.kinds is not None
            rows = zip(change.kinds.tolist(), cl.prefixes(change.column), change.codes.tolist(), strict=True)
            found += [RouteChange(KINDS[kind], prefix, change.paths[code]) for kind, prefix, code in rows]
        else:
            found.append(change)
    return found


class Lab:
    """A namespace with a link `v0`, which is up and has 10.0.0.1/24, and its routing table as peerway sees it."""

    def __init__(self, namespace: Namespace, **options: int) -> None:
        self.namespace = namespace
        namespace.batch(
            [
                "link add v0 type veth peer name v1",
                "link set v0 addrgenmode none",
                "link set v1 addrgenmode none up",
                "link set v0 up",
                "address add 10.0.0.1/24 dev v0",
            ]
        )
        with namespace.enter():
            self.edge = Rtnetlink(**options)
        (self.v0,) = (index for index, link in self.edge.links().items() if link.name == "v0")

    def hop(self, gateway: str | None = None, weight: int = 1) -> NextHop:
        return NextHop(self.v0, None if gateway is None else px.parse_address(gateway), weight)

    def via(self, *gateways: str | None, metric: int = 0, protocol: int = BOOT, table: int = 254) -> Path:
        """The path through these gateways on v0."""
        scope = LINK if gateways == (None,) and not metric else 0
        return Path(table, protocol, metric, tuple(self.hop(gateway) for gateway in gateways), scope=scope)

    def batch(self, family: str, *commands: str) -> list[Change | Gap]:
        self.namespace.batch(commands, family=family)
        return self.heard()

    def heard(self) -> list[Change | Gap]:
        """The changes of routes and nexthop objects that nobody made but us."""
        return [
            change
            for change in objects(self.edge.read_changes())
            if isinstance(change, Gap | NexthopChange)
            or (isinstance(change, RouteChange) and change.path.protocol != RTPROT_KERNEL)
        ]

    def table(self) -> dict[Prefix, Path | tuple[Path, ...]]:
        """The routes of a dump by prefix, several in their order."""
        found: dict[Prefix, list[Path]] = {}
        for columns in self.edge.routes(lambda path: path.protocol != RTPROT_KERNEL):
            for prefix, code in zip(cl.prefixes(columns.column), columns.codes.tolist(), strict=True):
                found.setdefault(prefix, []).append(columns.paths[code])
        return {prefix: paths[0] if len(paths) == 1 else tuple(paths) for prefix, paths in found.items()}

    def add(self, routes: list[Route], *, append: bool = False) -> list[Refusal]:
        return self.edge.add_routes(grouped(routes), append=append)

    def delete(self, routes: list[Route]) -> list[Refusal]:
        return self.edge.delete_routes(grouped(routes))


@pytest.fixture
def lab(namespace: Namespace) -> Iterator[Lab]:
    made = Lab(namespace)
    with made.edge:
        made.edge.read_changes()
        yield made


def test_every_form_of_ipv4_route_is_heard_and_dumped(lab: Lab) -> None:
    """Gateways of either family, several next hops with weights, tables, metrics, tos, defaults: all as they are."""
    two = (lab.hop("fe80::1", 3), lab.hop("10.0.0.9"))
    forms = {
        "10.1.0.0/24 via 10.0.0.5 dev v0": lab.via("10.0.0.5"),
        "10.2.0.0/24 via inet6 fe80::1 dev v0 proto bird metric 32": lab.via("fe80::1", metric=32, protocol=BIRD),
        "10.3.0.0/24 nexthop via inet6 fe80::1 dev v0 weight 3 nexthop via 10.0.0.9 dev v0": dataclasses.replace(
            lab.via(), nexthops=two
        ),
        "10.4.0.0/24 dev v0": lab.via(None),
        "10.5.0.0/24 via 10.0.0.5 dev v0 table 100000": lab.via("10.0.0.5", table=100_000),
        "10.6.0.0/24 tos 0x10 via 10.0.0.5 dev v0": dataclasses.replace(lab.via("10.0.0.5"), tos=16),
        "10.7.0.0/24 via 192.0.2.9 dev v0 onlink": lab.via("192.0.2.9"),
        "0.0.0.0/0 via inet6 fe80::9 dev v0": lab.via("fe80::9"),
        "10.8.0.0/24 dev v0 mtu 1300 advmss 1200": lab.via(None),
        "blackhole 10.9.0.0/24": Path(254, BOOT, 0, type=6),
    }
    want = [(px.parse(text.removeprefix("blackhole ").split()[0]), path) for text, path in forms.items()]
    assert lab.batch("-4", *(f"route add {text}" for text in forms)) == [RouteChange(ADDED, *one) for one in want]
    assert lab.table() == dict(want)
    heard = lab.batch("-4", *(f"route del {text}" for text in forms))
    assert heard == [RouteChange(DELETED, *one) for one in want]


def test_every_form_of_ipv6_route_is_heard_and_dumped(lab: Lab) -> None:
    """Link-local and other gateways, several next hops, source-specific routes, defaults: all as they are."""
    two = (lab.hop("fe80::1", 3), lab.hop("fe80::2"))
    normal = lab.via("fe80::5", metric=1024)
    forms = {
        "fd01::/64 via fe80::1 dev v0": lab.via("fe80::1", metric=1024),
        "fd02::/64 from fd00:5::/48 via fe80::5 dev v0": dataclasses.replace(normal, source=px.parse("fd00:5::/48")),
        "fd03::/64 nexthop via fe80::1 dev v0 weight 3 nexthop via fe80::2 dev v0": dataclasses.replace(
            normal, nexthops=two
        ),
        "fd04::/64 dev v0 metric 7 proto bird table 300": lab.via(None, metric=7, protocol=BIRD, table=300),
        "fd05::/64 via 2001:db8::1 dev v0 onlink": lab.via("2001:db8::1", metric=1024),
        "::/0 via fe80::9 dev v0": lab.via("fe80::9", metric=1024),
    }
    want = [(px.parse(text.split()[0]), path) for text, path in forms.items()]
    heard = lab.batch("-6", *(f"route add {text}" for text in forms))
    # A route that is added with several next hops comes without NLM_F_EXCL, with all of them.
    kinds = [PREPENDED if len(path.nexthops) > 1 else ADDED for _, path in want]
    assert heard == [RouteChange(kind, *one) for kind, one in zip(kinds, want, strict=True)]
    assert lab.table() == dict(want)


def test_the_order_of_equal_ipv4_routes_is_told(lab: Lab) -> None:
    """Append, prepend and replace have their own marks; the dump has the order in which the kernel holds them."""
    commands = [f"route {verb} 10.1.0.0/24 via inet6 fe80::{at} dev v0" for at, verb in enumerate(VERBS, 1)]
    paths = [lab.via(f"fe80::{at}") for at in range(1, 5)]
    kinds = [ADDED, APPENDED, PREPENDED, REPLACED]
    assert lab.batch("-4", *commands) == [RouteChange(kind, V4, path) for kind, path in zip(kinds, paths, strict=True)]
    assert lab.table() == {V4: (paths[3], paths[0], paths[1])}
    again = "route replace 10.1.0.0/24 via inet6 fe80::4 dev v0"
    assert lab.batch("-4", again, "route replace 10.2.0.0/24 via inet6 fe80::1 dev v0") == [
        RouteChange(ADDED, px.parse("10.2.0.0/24"), paths[0])
    ]
    assert lab.batch("-4", "route del 10.1.0.0/24") == [RouteChange(DELETED, V4, paths[3])]
    assert lab.table()[V4] == (paths[0], paths[1])


VERBS = ("add", "append", "prepend", "replace")


def test_equal_ipv6_routes_become_one(lab: Lab) -> None:
    """Append and prepend tell the whole merged route, a deletion only its own next hop, a replacement takes all."""
    commands = [f"route {verb} fd01::/64 via fe80::{at} dev v0" for at, verb in enumerate(VERBS, 1)]
    commands.insert(3, "route del fd01::/64 via fe80::2 dev v0")
    told = [
        (change.kind, sorted(hop.gateway or 0 for hop in change.path.nexthops))
        for change in lab.batch("-6", *commands)
        if isinstance(change, RouteChange)
    ]
    gateways = [px.parse_address(f"fe80::{at}") for at in range(1, 5)]
    assert told == [
        (ADDED, gateways[:1]),
        (APPENDED, gateways[:2]),
        (PREPENDED, gateways[:3]),
        (DELETED, gateways[1:2]),
        (REPLACED, gateways[3:]),
    ]
    assert lab.table() == {V6: lab.via("fe80::4", metric=1024)}


def test_a_blackhole_in_the_place_of_a_route_is_told(lab: Lab) -> None:
    """A route that is replaced by one of another type is told as replaced, in both families."""
    lab.add([(V4, lab.via("fe80::1", protocol=OURS)), (V6, lab.via("fe80::1", protocol=OURS))])
    lab.heard()
    for family, prefix in (("-4", V4), ("-6", V6)):
        (change,) = lab.batch(family, f"route replace blackhole {px.text(prefix)}")
        assert isinstance(change, RouteChange)
        assert (change.kind, change.prefix, change.path.type) == (REPLACED, prefix, 6)


def test_nexthop_objects_are_told_with_their_routes(lab: Lab) -> None:
    """Objects, groups, their replacement and their end; the routes that use them are told with the id."""
    single, group = lab.hop("fe80::7"), NexthopObject(9, group=((7, 3), (8, 1)))
    lab.batch("-4", "nexthop add id 8 via 10.0.0.8 dev v0")
    assert lab.batch("-6", "nexthop add id 7 via fe80::7 dev v0", "nexthop add id 17 via fe80::17 dev v0") == [
        NexthopChange(7, NexthopObject(7, single)),
        NexthopChange(17, NexthopObject(17, lab.hop("fe80::17"))),
    ]
    heard = lab.batch(
        "", "nexthop add id 9 group 7,3/8", "route add 10.1.0.0/24 nhid 7", "route add 10.2.0.0/24 nhid 9"
    )
    routes = [dataclasses.replace(lab.via(), nexthops=(), nexthop_id=at) for at in (7, 9)]
    assert heard == [
        NexthopChange(9, group),
        RouteChange(ADDED, V4, routes[0]),
        RouteChange(ADDED, px.parse("10.2.0.0/24"), routes[1]),
    ]
    assert lab.edge.nexthops() == {
        7: NexthopObject(7, single),
        8: NexthopObject(8, lab.hop("10.0.0.8")),
        9: group,
        17: NexthopObject(17, lab.hop("fe80::17")),
    }
    found = lab.edge.lookup(px.parse_address("10.1.0.77"))
    assert found == (V4, routes[0])
    replaced = lab.batch("-6", "nexthop replace id 7 via fe80::77 dev v0")
    assert replaced[0] == NexthopChange(7, NexthopObject(7, lab.hop("fe80::77")))
    assert RouteChange(REPLACED, V4, routes[0]) in replaced
    lab.namespace.sysctl("net/ipv4/nexthop_compat_mode", 0)
    assert lab.table()[V4] == Path(254, BOOT, 0, nexthop_id=7)
    # The routes go with their object, and the kernel says nothing of the IPv4 ones.
    assert [change for change in lab.batch("-6", "nexthop del id 7") if isinstance(change, NexthopChange)] == [
        NexthopChange(7, None),
        NexthopChange(9, NexthopObject(9, group=((8, 1),))),
    ]
    assert V4 not in lab.table()


def test_an_object_of_many_routes_is_told_before_them(lab: Lab) -> None:
    """The change of an object is not kept waiting until each of its routes was told again; these are told later."""
    count = 3000
    lab.batch("-6", "nexthop add id 7 via fe80::7 dev v0")
    lab.namespace.batch([f"route add 10.{at >> 8}.{at & 255}.0/24 nhid 7" for at in range(1, count + 1)])
    lab.heard()
    lab.namespace.batch(["nexthop replace id 7 via fe80::77 dev v0"], family="-6")
    first, rest = lab.heard(), lab.heard()
    assert first[0] == NexthopChange(7, NexthopObject(7, lab.hop("fe80::77")))
    assert len(first) == READ_FIRST
    assert len(first) + len(rest) == 1 + count
    assert {change.kind for change in rest if isinstance(change, RouteChange)} == {REPLACED}


def test_own_routes_on_nexthop_objects(lab: Lab) -> None:
    """A route can stand on an object, and deleting it names the object; with the object gone it is gone."""
    lab.namespace.batch(["nexthop add id 17 via fe80::17 dev v0"], family="-6")
    routes = [(prefix, Path(254, OURS, 9, nexthop_id=17)) for prefix in (V4, V6)]
    assert lab.add(routes) == []
    assert {path.nexthop_id for path in lab.table().values() if isinstance(path, Path)} == {17}
    assert lab.delete(routes) == []
    assert lab.table() == {}
    lab.namespace.batch(["nexthop del id 17"])
    assert lab.delete(routes) == []
    assert [refusal.errno for refusal in lab.add(routes)] == [errno.EINVAL] * 2


def test_ipv4_routes_of_a_link_that_goes_down_vanish_silently(lab: Lab) -> None:
    """Only the link tells that its IPv4 routes are gone; each IPv6 route is told."""
    path4, path6 = lab.via("fe80::1", metric=9, protocol=OURS), lab.via("fe80::1", metric=9, protocol=OURS)
    assert lab.add([(V4, path4), (V6, path6)]) == []
    lab.edge.read_changes()
    lab.namespace.batch(["link set v0 down"])
    changes = lab.edge.read_changes()
    ours = [change for change in changes if isinstance(change, RouteChange) and change.path.protocol == OURS]
    assert ours == [RouteChange(DELETED, V6, path6)]
    assert False in [change.link.up for change in changes if isinstance(change, LinkChange) and change.link]
    assert lab.table() == {}
    lab.namespace.batch(["link del v0"])
    changes = lab.edge.read_changes()
    assert LinkChange(lab.v0, None) in changes
    assert AddressChange(Address(lab.v0, px.parse_address("10.0.0.1"), 24), present=False) in changes


OWN_FORMS = {
    "10.1.0.0/24": "fe80::1",
    "10.2.0.0/24": "172.16.0.1",
    "10.3.0.0/24": "2001:db8::1",
    "0.0.0.0/0": "fe80::1",
    "172.16.0.1/32": None,
    "fd01::/64": "fe80::1",
    "fd02::/64": "2001:db8::1",
    "::/0": "fe80::1",
    "2001:db8::1/128": None,
}


def test_own_routes_are_added_and_deleted(lab: Lab) -> None:
    """Every form that peerway makes is accepted, reads back the same, and is deleted; twice is refused, or fine."""
    routes = []
    for text, gateway in OWN_FORMS.items():
        path = Path(254, OURS, 4096, (lab.hop(gateway),), scope=0 if gateway or ":" in text else LINK)
        routes.append((px.parse(text), path))
    assert lab.add(routes) == []
    assert lab.table() == dict(routes)
    assert [(refusal.prefix, refusal.errno) for refusal in lab.add(routes)] == [
        (prefix, errno.EEXIST) for prefix, _ in routes
    ]
    assert lab.delete(routes) == []
    assert lab.table() == {}
    assert lab.delete(routes) == []


def test_a_refusal_names_the_route_and_the_reason(lab: Lab) -> None:
    """One bad route among good ones is refused with a sentence; the good ones stand."""
    bad = (px.parse("10.9.0.0/24"), Path(254, OURS, 1, (NextHop(9999, px.parse_address("fe80::1")),)))
    good = (V4, lab.via("fe80::1", protocol=OURS))
    (refusal,) = lab.add([bad, good])
    assert (refusal.prefix, refusal.errno) == (bad[0], errno.ENODEV)
    assert refusal.reason.startswith("adding it: ")
    assert lab.table() == dict([good])
    assert lab.delete([bad]) == []


def test_nobody_elses_route_is_touched(lab: Lab) -> None:
    """Routes of the same prefix with another protocol, gateway, metric, table or form stand after our deletes."""
    ours = lab.via("fe80::1", metric=4096, protocol=OURS)
    others = [
        dataclasses.replace(ours, protocol=BIRD),
        dataclasses.replace(ours, protocol=BIRD, metric=5000),
        dataclasses.replace(ours, nexthops=(lab.hop("fe80::2"),), metric=5001),
        dataclasses.replace(ours, table=77),
        dataclasses.replace(ours, nexthops=(lab.hop("fe80::1"), lab.hop("fe80::2")), metric=5002),
    ]
    foreign = [(prefix, path) for prefix in (V4, V6) for path in others]
    assert lab.add(foreign) == []
    before = lab.table()
    mine = [(V4, ours), (V6, ours)]
    assert [refusal.errno for refusal in lab.add(mine)] == [errno.EEXIST] * 2  # BIRD's has this metric
    assert lab.table() == before
    assert lab.delete(mine) == []
    assert lab.table() == before
    assert lab.add([(V4, ours)], append=True) == []
    assert lab.delete(mine) == []
    assert lab.table() == before


def test_a_delete_without_gateway_takes_no_route_with_one(lab: Lab) -> None:
    """A host route on the link, and a route of the same prefix and metric through a gateway, are two things."""
    for text in ("2001:db8::1/128", "192.0.2.1/32"):
        prefix = px.parse(text)
        through = lab.via("fe80::1", metric=4096, protocol=OURS)
        on_link = Path(254, OURS, 4096, (lab.hop(),), scope=0 if ":" in text else LINK)
        assert lab.add([(prefix, through)]) == []
        assert lab.delete([(prefix, on_link)]) == []
        assert lab.table() == {prefix: through}
        assert lab.add([(prefix, on_link)], append=True) == []
        assert lab.delete([(prefix, through)]) == []
        assert lab.table() == {prefix: on_link}
        assert lab.delete([(prefix, on_link)]) == []


def test_a_lookup_tells_the_route_that_is_used(lab: Lab) -> None:
    """The route in the table with its whole prefix; None for what is unreachable, blocked, or our own."""
    lab.namespace.batch(["route add blackhole 10.9.0.0/24", "route add unreachable 10.8.0.0/24"])
    lab.namespace.batch(["route add blackhole fd09::/64", "route add prohibit fd08::/64"], family="-6")
    routes = [(prefix, lab.via("fe80::1", metric=9, protocol=OURS)) for prefix in (V4, V6)]
    assert lab.add(routes) == []
    found = [lab.edge.lookup(px.parse_address(text)) for text in ("10.1.0.200", "fd01::1:2:3")]
    assert found == routes
    nowhere = ("10.9.0.1", "10.8.0.1", "fd09::1", "fd08::1", "192.0.2.1", "2001:db8::1", "10.0.0.1", "::1")
    assert [lab.edge.lookup(px.parse_address(text)) for text in nowhere] == [None] * len(nowhere)


def test_addresses_carry_their_maker(lab: Lab) -> None:
    """An address is added with our mark, heard, dumped and deleted; twice is fine both ways."""
    for text, length in (("fe80::a605:9cb1:27:11d6", 64), ("10.237.166.5", 16)):
        address = Address(lab.v0, px.parse_address(text), length, OURS)
        lab.edge.read_changes()
        lab.edge.add_address(address)
        lab.edge.add_address(address)
        assert AddressChange(address, present=True) in lab.edge.read_changes()
        assert address in lab.edge.addresses()
        lab.edge.delete_address(address)
        lab.edge.delete_address(address)
        assert AddressChange(address, present=False) in lab.edge.read_changes()
        assert address not in lab.edge.addresses()
    with pytest.raises(OSError, match=r"adding the address 192\.0\.2\.1/24 on link 9999: .*"):
        lab.edge.add_address(Address(9999, px.parse_address("192.0.2.1"), 24))


def test_the_kernel_makes_no_link_local_address_if_told(lab: Lab) -> None:
    """With addr_gen_mode none a link that comes up has no address of the kernel's; without, it has."""
    lab.namespace.batch(["link add v2 type veth peer name v3"])
    index = {link.name: at for at, link in lab.edge.links().items()}
    lab.edge.stop_kernel_link_local(index["v2"])
    lab.namespace.batch(["link set v2 up", "link set v3 up"])

    def having() -> set[int]:
        return {address.ifindex for address in lab.edge.addresses() if px.is_link_local(address.address)}

    settle(lambda: index["v3"] in having(), what="the kernel made an address where it was not told otherwise")
    assert index["v2"] not in having()


def test_lost_notifications_are_a_gap_and_the_stream_goes_on(namespace: Namespace) -> None:
    """What does not fit the buffer is told as one Gap; a dump then has all, and new changes are heard again."""
    lab = Lab(namespace, receive_buffer=16384)
    with lab.edge:
        lab.edge.read_changes()
        path = lab.via("fe80::1", protocol=OURS)
        routes = [(px.make(2, bytes((10, 1, at, 0)), 24), path) for at in range(200)]
        assert lab.add(routes) == []
        with namespace.enter():  # where another socket is opened
            changes = lab.edge.read_changes()
        assert isinstance(changes[-1], Gap)
        assert [change for change in changes[:-1] if isinstance(change, Gap)] == []
        assert lab.table() == dict(routes)
        assert lab.delete(routes[:1]) == []
        assert lab.edge.read_changes() == [RouteChange(DELETED, *routes[0])]


def test_ten_thousand_routes(lab: Lab) -> None:
    """Many routes are added, heard, dumped and deleted whole, and share one path."""
    path = lab.via("fe80::1", metric=4096, protocol=OURS)
    nets = [px.Prefix(0x0B000000 + at * 256 << 8 | 24) for at in range(8000)]
    nets += [px.Prefix(px.V6 | (0x20010DB8 << 96) + (at << 64) << 8 | 64) for at in range(2000)]
    routes = [(net, path) for net in nets]
    assert lab.add(routes) == []
    changes = lab.edge.read_changes()
    assert {type(change) for change in changes} == {RouteColumns}
    assert objects(changes) == [RouteChange(ADDED, net, path) for net in nets]
    table = lab.table()
    assert table == dict(routes)
    assert len({id(shared) for shared in table.values()} | {id(path) for c in changes for path in c.paths}) == 1  # type: ignore[union-attr]
    assert lab.add(routes[5000:]) == [Refusal(net, errno.EEXIST, "adding it: File exists") for net in nets[5000:]]
    assert lab.delete(routes) == []
    assert objects(lab.edge.read_changes()) == [RouteChange(DELETED, net, path) for net in nets]
    assert lab.table() == {}
    assert lab.delete(routes) == []


@pytest.mark.parametrize("family", [2, 10])
def test_what_is_added_in_bulk_is_known_without_being_heard(lab: Lab, family: int) -> None:
    """While others add, replace and delete the same routes, the table is the dump's, or says that it is in doubt."""
    dice = random.Random(family)
    ours = lab.via("fe80::1", metric=4096, protocol=OURS)
    theirs = [lab.via(f"fe80::{at}", metric=metric, protocol=BIRD) for at in (1, 2) for metric in (4096, 7)]
    nets = [px.make(family, bytes((0x20, at >> 8, at & 255, 0)), 32 if family == 10 else 24) for at in range(3000)]
    relevant = {ours, *theirs}.__contains__
    with lab.namespace.enter():
        stranger = Rtnetlink()
    rib = Rib(relevant)
    lab.edge.listen_to([lab.v0])
    with stranger, ThreadPoolExecutor(1) as thread:
        for turn in range(12):
            some = sorted(dice.sample(nets, 2000))
            doubt = False
            working = thread.submit(lab.edge.add_routes, [(ours, cl.make(family, some))])
            while turn % 3 and not working.done():
                route = [(dice.choice(theirs), cl.make(family, [dice.choice(some[-500:])]))]
                stranger.add_routes(route)
                if dice.random() < 0.8:
                    stranger.delete_routes(route)
                if turn % 3 == 1:
                    doubt |= take(rib, lab.edge.read_changes())
            assert all(refusal.errno == errno.EEXIST for refusal in working.result())
            doubt |= take(rib, lab.edge.read_changes()) or rib.uncertain
            dump = lab.edge.routes(relevant)
            assert doubt or not rib.differing(dump)
            assert turn % 3 or (not doubt and len(rib) == len(some))
            rib.load(dump)
            lab.delete([(prefix, ours) for prefix in some])
            for path in theirs:
                stranger.delete_routes([(path, cl.make(family, some))])
            assert not take(rib, lab.edge.read_changes())
            assert not rib


def take(rib: Rib, changes: list[Change | Gap]) -> bool:
    """Take what was heard; whether it leaves a doubt."""
    for change in changes:
        if isinstance(change, RouteColumns):
            rib.apply_many(change)
        elif isinstance(change, RouteChange):
            rib.apply(change)
    return any(isinstance(change, Gap) for change in changes)


def test_a_hundred_thousand_routes_are_read_as_the_careful_reader_reads_them(lab: Lab) -> None:
    """A table of both families over many paths, with metrics and a default route: counted, and equal one by one."""
    dice = random.Random(3)
    paths = [lab.via(f"fe80::{at:x}:{at:x}", metric=dice.choice([5, 4096]), protocol=OURS) for at in range(1, 200)]
    paths += [lab.via(f"10.0.0.{at}", metric=7, protocol=BIRD) for at in range(2, 50)]
    first, second = set[Prefix](), set[Prefix]()
    while len(first) < 90_000:
        first.add(px.make(2, dice.randbytes(4), dice.choice([16, 20, 22, 24, 24, 32])))
    while len(second) < 10_000:
        second.add(px.make(10, b"\x20" + dice.randbytes(7), dice.choice([32, 48, 64])))
    groups = [(path, cl.make(2, sorted(first)[at :: len(paths)])) for at, path in enumerate(paths)]
    groups += [(path, cl.make(10, sorted(second)[at::9])) for at, path in enumerate(paths[:9])]
    assert lab.edge.add_routes(groups) == []
    lab.namespace.batch(["route add 0.0.0.0/0 via 10.0.0.9 dev v0", "route append 0.0.0.0/0 via 10.0.0.8 dev v0"])
    found = [
        (prefix, columns.paths[code])
        for columns in lab.edge.routes(lambda _: True)
        for prefix, code in zip(cl.prefixes(columns.column), columns.codes.tolist(), strict=True)
    ]
    careful = []
    for family in (2, 10):
        for _, payload in lab.edge._ask.dump(26, rtrequest.dump_routes(family)):
            read = parse_route(payload)
            assert read is not None
            careful.append((read.prefix, read.path))
    assert found == careful
    shown = [
        line
        for family in ("-4", "-6")
        for line in lab.namespace.ip(family, "route", "show", "table", "main").splitlines()
    ]
    assert len([one for one in found if one[1].table == 254]) == len(shown) > 100_000


def test_churn_of_other_links_is_not_heard(lab: Lab) -> None:
    """With a filter another link's routes come and go unheard; ours, replacements and links are heard."""
    lab.namespace.batch(["link add v2 type veth peer name v3", "link set v2 addrgenmode none up", "link set v3 up"])
    other = next(index for index, link in lab.edge.links().items() if link.name == "v2")
    foreign = Path(254, OURS, 9, (NextHop(other, px.parse_address("fe80::9")),))
    direct = Path(254, OURS, 9, (NextHop(other),), scope=LINK)
    ours = lab.via("fe80::1", metric=9, protocol=OURS)
    lab.edge.listen_to([lab.v0])
    lab.edge.read_changes()
    nets = [px.make(2, bytes((10, 2, at, 0)), 24) for at in range(200)]
    for path in (foreign, direct):
        assert lab.add([(net, path) for net in nets]) == []
        assert lab.delete([(net, path) for net in nets]) == []
    assert lab.add([(V6, foreign)]) == []
    assert lab.edge.read_changes() == []
    assert lab.delete([(V6, foreign)]) == []
    assert lab.edge.read_changes() == [RouteChange(DELETED, V6, foreign)]  # it might be a part of one of ours
    assert lab.add([(V4, ours), (V6, ours)]) == []
    assert lab.heard() == [RouteChange(ADDED, V4, ours), RouteChange(ADDED, V6, ours)]
    replace = "via inet6 fe80::9 dev v2 metric 9 proto 87"
    assert lab.batch("-4", f"route replace {px.text(V4)} {replace}") == [RouteChange(REPLACED, V4, foreign)]
    lab.namespace.batch(["link set v2 mtu 1400"])
    assert [type(change) for change in lab.edge.read_changes()] == [LinkChange]
    lab.edge.listen_to([])
    assert lab.delete([(V4, foreign)]) == []
    assert lab.heard() == [RouteChange(DELETED, V4, foreign)]


def test_a_part_of_a_multipath_route_that_another_link_loses_is_heard(lab: Lab) -> None:
    """Of an IPv6 route over our link and another, the other's next hop comes and goes, and both are heard."""
    lab.namespace.batch(["link add v2 type veth peer name v3", "link set v2 addrgenmode none up", "link set v3 up"])
    lab.edge.listen_to([lab.v0])
    lab.edge.read_changes()
    word = f"route {{}} {px.text(V6)} via fe80::{{}} dev {{}} metric 9 proto 87"
    told = lab.batch("-6", word.format("add", 1, "v0"), word.format("append", 2, "v2"), word.format("del", 2, "v2"))
    kinds = [(change.kind, len(change.path.nexthops)) for change in told if isinstance(change, RouteChange)]
    assert kinds == [(ADDED, 1), (APPENDED, 2), (DELETED, 1)]
