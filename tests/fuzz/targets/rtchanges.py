"""Notifications, few as objects and many as columns."""

from __future__ import annotations

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.ports import Change, Gap
from peerway.model.route import KINDS, RouteChange, RouteColumns
from peerway.protocols import netlink as nl
from peerway.protocols.rtchanges import ChangeReader
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtrows import RouteRows
from tests.fuzz import script
from tests.fuzz.targets import rtdump
from tests.fuzz.targets.rtroute import payloads
from tests.harness.routes import words_of


def seeds() -> list[bytes]:
    told = [nl.message(24 + place % 2, 0x600, 0, payload) for place, payload in enumerate(payloads())]
    return [*rtdump.seeds(), script.raw(told * 4)]


def one(data: bytes) -> None:
    """
    Whatever datagrams come, nothing is raised: what cannot be read is a Gap. Read many at once they mean what they mean
    one by one: the same changes in their order, and as many gaps.
    """
    datagrams = [datagram for datagram in script.datagrams(data) if datagram]
    if datagrams:
        many, few = _reader().read(*words_of(datagrams)), _reader().read_few(datagrams)
        assert _apart(many) == _apart(few)


def _reader() -> ChangeReader:
    decoder = RouteDecoder()
    return ChangeReader(decoder, RouteRows(decoder))


def _apart(changes: list[Change | Gap]) -> tuple[list[object], list[object], int]:
    """IPv4 routes and all else in order, IPv6 routes and all else in order, and how many gaps there are."""
    found: tuple[list[object], list[object]] = ([], [])
    gaps = 0
    for change in changes:
        match change:
            case RouteColumns(column, codes, paths, kinds):
                assert kinds is not None
                routes = zip(kinds.tolist(), cl.prefixes(column), codes.tolist(), strict=True)
                into = found[column.dtype != cl.IPV4]
                into += [RouteChange(KINDS[kind], prefix, paths[code]) for kind, prefix, code in routes]
            case Gap():
                gaps += 1
            case RouteChange(_, prefix, _):
                found[bool(prefix & px.V6)].append(change)
            case _:
                for some in found:
                    some.append(change)
    return *found, gaps
