"""Notifications mean the same whether they are read one by one or as columns."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.ports import Change, Gap
from peerway.model.route import KINDS, NextHop, NexthopChange, Path, RouteChange, RouteColumns
from peerway.protocols import netlink as nl
from peerway.protocols.rtchanges import MANY, ChangeReader
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtrows import RouteRows
from tests.harness.routes import damaged, payload_of, routes, words_of

FLAGS = [0, 0x600, 0xC00, 0x400, 0x100, 0x500, 0x200]
NEXTHOP = nl.message(105, 0, 0, bytes(8) + nl.attribute_u32(1, 9))
ROUTE = payload_of(px.parse("10.0.0.0/8"), Path(254, 4, 0, (NextHop(3),)))


def reader() -> ChangeReader:
    decoder = RouteDecoder()
    return ChangeReader(decoder, RouteRows(decoder))


def apart(changes: list[Change | Gap]) -> list[list[object]]:
    """Changes as objects: IPv4 routes and all else in order, IPv6 routes in order, and how many gaps there are."""
    ipv4: list[object] = []
    ipv6: list[object] = []
    gaps: list[object] = []
    for change in changes:
        match change:
            case RouteColumns(column, codes, paths, kinds):
                assert kinds is not None
                routes = zip(kinds.tolist(), cl.prefixes(column), codes.tolist(), strict=True)
                into = ipv4 if column.dtype == cl.IPV4 else ipv6
                into += [RouteChange(KINDS[kind], prefix, paths[code]) for kind, prefix, code in routes]
            case Gap():
                gaps.append(Gap)
            case RouteChange(_, prefix, _) if prefix & px.V6:
                ipv6.append(change)
            case _:
                ipv4.append(change)
                ipv6 += [] if isinstance(change, RouteChange) else [change]
    return [ipv4, ipv6, gaps]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Datagrams that wait: routes, own routes of the kernel, other things, some with faults."""
    payloads = [payload_of(*route) for route in draw(st.lists(routes(), min_size=1, max_size=6))]
    odd = [
        NEXTHOP,
        nl.message(105, 0, 0, bytes(8)) + nl.message(24, 0x600, 0, ROUTE),
        b"",
        b"\0",
        *draw(
            st.lists(
                damaged(st.builds(nl.message, st.just(24), st.just(0x600), st.just(0), st.sampled_from(payloads))),
                max_size=2,
            )
        ),
    ]
    dice = random.Random(draw(st.integers(0, 2**32)))
    rare = draw(st.sampled_from([0, 0.01, 0.3]))
    return [
        dice.choice(odd)
        if dice.random() < rare
        else nl.message(dice.choice([24, 24, 25]), dice.choice(FLAGS), dice.randrange(3), dice.choice(payloads))
        for _ in range(draw(st.sampled_from([1, MANY - 1, MANY, 100])))
    ]


@given(streams())
def test_many_at_once_mean_what_they_mean_one_by_one(datagrams: list[bytes]) -> None:
    """Kinds, order, what is left out and how many could not be read: all as if each had come alone."""
    alone = reader()
    one_by_one = alone.read_few(datagrams)
    assert alone.read_few(datagrams) == one_by_one  # from memory
    assert apart(reader().read(*words_of(datagrams))) == apart(one_by_one)


def test_a_burst_is_columns_and_a_few_are_objects() -> None:
    """From MANY in a row on routes come as columns; what is no route stands between them in its place."""
    route = nl.message(24, 0x600, 0, ROUTE)
    datagrams = [*[route] * MANY, NEXTHOP, *[route] * (MANY - 1), NEXTHOP, *[route] * 2 * MANY]
    changes = reader().read(*words_of(datagrams))
    shape = [len(change.column) if isinstance(change, RouteColumns) else type(change) for change in changes]
    assert shape == [MANY, NexthopChange, *[RouteChange] * (MANY - 1), NexthopChange, 2 * MANY]


def test_both_families_come_as_two_columns() -> None:
    """A burst of both families is one column for each, with paths of its own alone."""
    other = payload_of(px.parse("fd00::/8"), Path(254, 4, 1024, (NextHop(3),)))
    stream = [nl.message(24, 0x600, 0, payload) for payload in (ROUTE, other)] * MANY
    first, second = reader().read(*words_of(stream))
    assert isinstance(first, RouteColumns)
    assert isinstance(second, RouteColumns)
    assert (cl.family(first.column), cl.family(second.column)) == (2, 10)
    assert (len(first.paths), len(second.paths)) == (1, 1)
