"""A dump of routes, in columns (nlstream, rtrows, rtlayout and rtdump together)."""

from __future__ import annotations

from peerway.model import columns as cl
from peerway.model.prefix import V6, Prefix
from peerway.model.route import Path
from peerway.protocols import netlink as nl
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtdump import RouteCollector
from peerway.protocols.rtroute import RTM_NEWROUTE, parse_route
from peerway.protocols.rtrows import RouteRows
from tests.fuzz import script
from tests.fuzz.outcome import outcome
from tests.fuzz.targets.rtroute import payloads
from tests.harness.routes import words_of

SEQ = 1
Told = tuple[list[list[tuple[Prefix, Path]]], list[tuple[int, bytes]], bool]


def messages() -> list[bytes]:
    return [nl.message(RTM_NEWROUTE, 2, SEQ, payload) for payload in payloads()]


def seeds() -> list[bytes]:
    found = messages()
    each = [
        b"\0\0\0" + bytes([len(payload) % 64]) + payload[:63] + bytes([1, 40, 9, 1, 2, 20, 7, 1, 40, 9, 1])
        for payload in payloads()
    ]
    end = nl.message(3, 2, SEQ, bytes(4))
    return [script.raw([b"".join(found), end]), script.raw(found), script.raw([found[0] * 70, found[8] * 40]), *each]


def one(data: bytes) -> None:
    """
    A dump read in columns has the routes that it has read one by one, in their order, the same other messages and the
    same sign of an interruption; or both ways are a RemoteProtocolError.
    """
    datagrams = [datagram for datagram in script.datagrams(data) if datagram]
    assert outcome(lambda: _in_columns(datagrams)) == outcome(lambda: _one_by_one(datagrams))


def _keep(path: Path) -> bool:
    return path.protocol != 4


def _in_columns(datagrams: list[bytes]) -> Told:
    collector = RouteCollector(RouteRows(RouteDecoder()), _keep, SEQ)
    others: list[nl.Message] = []
    half = len(datagrams) // 2
    for part in (datagrams[:half], datagrams[half:]):
        others += collector.feed(*words_of(part)) if part else []
    routes: list[list[tuple[Prefix, Path]]] = [[], []]
    for columns in collector.columns():
        told = zip(cl.prefixes(columns.column), columns.codes.tolist(), strict=True)
        routes[columns.column.dtype != cl.IPV4] += [(prefix, columns.paths[code]) for prefix, code in told]
    return routes, *_rest(others)


def _one_by_one(datagrams: list[bytes]) -> Told:
    found = [message for datagram in datagrams for message in nl.messages(datagram)]
    mine = [message for message in found if message.type == RTM_NEWROUTE and message.seq == SEQ]
    parsed = [parse_route(message.payload) for message in mine]
    routes: list[list[tuple[Prefix, Path]]] = [[], []]
    for route in parsed:
        if route is not None and _keep(route.path):
            routes[bool(route.prefix & V6)].append((route.prefix, route.path))
    return routes, *_rest(found)


def _rest(found: list[nl.Message]) -> tuple[list[tuple[int, bytes]], bool]:
    others = {(m.type, bytes(m.payload)) for m in found if m.type != RTM_NEWROUTE and m.seq == SEQ}
    return sorted(others), any(m.flags & nl.NLM_F_DUMP_INTR for m in found)
