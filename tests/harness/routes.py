"""Route messages as the kernel writes them, and as it might: for tests of the decoders."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import NextHop, Path


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def attributes_of(prefix: Prefix, path: Path) -> list[bytes]:
    """The attributes in the order of fib_dump_info (net/ipv4/fib_semantics.c): the table, the destination, the rest."""
    family = px.family(prefix)
    found = [attribute(15, struct.pack("=I", path.table))]
    if px.length(prefix):
        found.append(attribute(1, px.packed(prefix)))
    if path.metric:
        found.append(attribute(6, struct.pack("=I", path.metric)))
    if path.source is not None:
        found.append(attribute(2, px.packed(path.source)))
    if path.nexthop_id:
        found.append(attribute(30, struct.pack("=I", path.nexthop_id)))
    match path.nexthops:
        case ():
            pass
        case (NextHop(ifindex, gateway),):
            found += [*_gateway(family, gateway), attribute(4, struct.pack("=I", ifindex))]
        case hops:
            packed = b""
            for hop in hops:
                via = b"".join(_gateway(family, hop.gateway))
                packed += struct.pack("=HBBI", 8 + len(via), 0, hop.weight - 1, hop.ifindex) + via
            found.append(attribute(9, packed))
    return found


def _gateway(family: int, gateway: Prefix | None) -> list[bytes]:
    if gateway is None:
        return []
    if px.family(gateway) == family:
        return [attribute(5, px.packed(gateway))]
    return [attribute(18, struct.pack("=H", px.family(gateway)) + px.packed(gateway))]


def header_of(prefix: Prefix, path: Path, flags: int = 0) -> bytes:
    source = 0 if path.source is None else px.length(path.source)
    table = path.table if path.table < 256 else 252
    about = (px.length(prefix), source, path.tos, table, path.protocol, path.scope, path.type)
    return struct.pack("=8BI", px.family(prefix), *about, flags)


def payload_of(prefix: Prefix, path: Path) -> bytes:
    return header_of(prefix, path) + b"".join(attributes_of(prefix, path))


@st.composite
def prefixes(draw: st.DrawFn, family: int | None = None) -> Prefix:
    family = family or draw(st.sampled_from([AF_INET, AF_INET6]))
    size = 4 if family == AF_INET else 16
    return px.make(family, draw(st.binary(min_size=size, max_size=size)), draw(st.integers(0, size * 8)))


@st.composite
def nexthops(draw: st.DrawFn, family: int) -> NextHop:
    gateway = draw(st.none() | prefixes() if family == AF_INET else st.none() | prefixes(AF_INET6))
    host = None if gateway is None else Prefix(gateway & ~0xFF | px.bits(gateway))
    return NextHop(draw(st.integers(1, 9)), host, draw(st.integers(1, 256)))


@st.composite
def routes(draw: st.DrawFn) -> tuple[Prefix, Path]:
    """A prefix and a path as the kernel could tell them: one next hop alone has no weight."""
    prefix = draw(prefixes())
    family = px.family(prefix)
    nexthop_id = draw(st.sampled_from([0, 0, 7]))
    hops = [] if nexthop_id else draw(st.lists(nexthops(family), max_size=3))
    if len(hops) == 1:
        hops = [NextHop(hops[0].ifindex, hops[0].gateway)]
    if family == AF_INET6:
        hops.sort(key=lambda hop: (hop.ifindex, hop.gateway or 0, hop.weight))
    byte = st.integers(0, 255)
    metric = draw(st.sampled_from([1, 1024, 4096]) if family == AF_INET6 else st.sampled_from([0, 32, 4096]))
    path = Path(
        table=draw(st.sampled_from([1, 254, 255, 256, 1000, 0xFFFFFFFF])),
        protocol=draw(byte),
        metric=metric,
        nexthops=tuple(hops),
        nexthop_id=nexthop_id,
        type=draw(st.sampled_from([1, 1, 1, 2, 6])),
        scope=draw(st.sampled_from([0, 253])),
        tos=draw(st.sampled_from([0, 16])),
        source=draw(st.none() | prefixes(AF_INET6).filter(px.length)) if family == AF_INET6 else None,
    )
    return prefix, path


@st.composite
def shuffled_payloads(draw: st.DrawFn) -> tuple[bytes, Prefix, Path]:
    """A message with its attributes in any order, with unknown ones and a RTA_CACHEINFO among them, and its meaning."""
    prefix, path = draw(routes())
    unknown = st.builds(attribute, st.sampled_from([12, 20, 25, 99, 0x3FFF]), st.binary(max_size=36))
    found = draw(st.permutations(attributes_of(prefix, path) + draw(st.lists(unknown, max_size=2))))
    return header_of(prefix, path) + b"".join(found), prefix, path


@st.composite
def damaged(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> bytes:
    """Real bytes with some overwritten, and cut somewhere or not."""
    data = bytearray(draw(source))
    for at, value in draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4)):
        if at < len(data):
            data[at] = value
    return bytes(data[: draw(st.none() | st.integers(0, len(data)))])


def words_of(datagrams: list[bytes]) -> tuple[npt.NDArray[np.uint32], list[int]]:
    """Datagrams as they lie in an inbox, each from a word on, and their sizes; what was there before lies between."""
    data = b"".join(datagram + b"\xa5" * (-len(datagram) % 4) for datagram in datagrams) + b"\xa5" * 64
    return np.frombuffer(data, np.uint32).copy(), [len(datagram) for datagram in datagrams]
