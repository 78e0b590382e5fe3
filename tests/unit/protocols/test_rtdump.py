"""A dump is collected whole, in order, and only what is wanted; whatever it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtdump import RouteCollector
from peerway.protocols.rtroute import parse_route
from peerway.protocols.rtrows import RouteRows
from tests.harness.routes import damaged, payload_of, routes, shuffled_payloads, words_of

DONE = nl.message(nl.NLMSG_DONE, 2, 1, bytes(4))
PAYLOADS = shuffled_payloads().map(lambda one: one[0]) | st.builds(lambda one: payload_of(*one), routes())


def new(payload: bytes, flags: int = 2, seq: int = 1) -> bytes:
    return nl.message(24, flags, seq, payload)


def collector(keep: Callable[[Path], bool] = lambda _: True) -> RouteCollector:
    return RouteCollector(RouteRows(RouteDecoder()), keep, 1)


def told(collected: RouteCollector) -> list[tuple[Prefix, Path]]:
    return [
        (prefix, columns.paths[code])
        for columns in collected.columns()
        for prefix, code in zip(cl.prefixes(columns.column), columns.codes.tolist(), strict=True)
    ]


@given(st.lists(st.lists(routes(), max_size=12), max_size=4), st.sampled_from([0, nl.NLM_F_DUMP_INTR]))
def test_a_dump_is_collected_in_order(table: list[list[tuple[Prefix, Path]]], flags: int) -> None:
    """Each route that is kept is there, by family in the order of the dump, however it comes in datagrams."""
    collected = collector(lambda path: path.table == 254)
    datagrams = [b"".join(new(payload_of(*route), flags) for route in part) for part in table]
    others = collected.feed(*words_of([*datagrams, DONE]))
    kept = [(prefix, path) for part in table for prefix, path in part if path.table == 254]
    assert told(collected) == sorted(kept, key=lambda route: px.family(route[0]))
    assert [message.type for message in others].count(nl.NLMSG_DONE) == 1
    assert bool(flags and any(table)) == any(message.flags & nl.NLM_F_DUMP_INTR for message in others)


@given(st.lists(routes(), min_size=1, max_size=30))
def test_each_path_is_asked_about_once(table: list[tuple[Prefix, Path]]) -> None:
    """Over several readings no path is decided twice, and paths that are equal are one."""
    asked: list[Path] = []

    def every_other(path: Path) -> bool:
        asked.append(path)
        return len(asked) % 2 == 0

    collected = collector(every_other)
    for _ in range(3):
        collected.feed(*words_of([new(payload_of(*route)) for route in table]))
    assert len(asked) == len(set(asked)) == len({path for _, path in table})


def test_another_dumps_messages_are_left_out() -> None:
    """What a dump that was given up left behind has another sequence number."""
    first, second = (
        payload_of(px.parse("10.0.0.0/8"), Path(254, 4, 0)),
        payload_of(px.parse("fd00::/8"), Path(254, 4, 0)),
    )
    collected = collector()
    assert collected.feed(*words_of([new(first, seq=7) + new(second)])) == []
    assert [prefix for prefix, _ in told(collected)] == [px.parse("fd00::/8")]


@given(
    st.lists(
        st.binary(max_size=100)
        | damaged(st.builds(new, PAYLOADS))
        | st.lists(st.builds(new, PAYLOADS), max_size=40).map(b"".join),
        max_size=5,
    )
)
def test_any_datagrams_are_collected_or_raise_the_one_error(datagrams: list[bytes]) -> None:
    """Whatever comes in a dump, the collector raises RemoteProtocolError where the slow walk does, else they agree."""

    def quick() -> list[tuple[Prefix, Path]]:
        collected = collector()
        collected.feed(*words_of(datagrams))
        return told(collected)

    def slow() -> list[tuple[Prefix, Path]]:
        messages = [message for datagram in datagrams for message in nl.messages(datagram)]
        read = [parse_route(bytes(one.payload)) for one in messages if one.type == 24 and one.seq == 1]
        found = [(one.prefix, one.path) for one in read if one]
        return sorted(found, key=lambda route: px.family(route[0]))

    outcomes: list[object] = []
    for reader in (quick, slow):
        try:
            outcomes.append(reader())
        except RemoteProtocolError:
            outcomes.append(RemoteProtocolError)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("lengths", [1, 2])
def test_messages_that_cross_a_datagrams_end_are_refused(lengths: int) -> None:
    """A datagram that ends within a message is malformed, even where the next one goes on as if it were its rest."""
    payloads = [payload_of(px.parse("10.0.0.0/8"), Path(254, 4, at % lengths, (NextHop(3),))) for at in range(300)]
    data = b"".join(new(payload) for payload in payloads)
    with pytest.raises(RemoteProtocolError):
        collector().feed(*words_of([data[:6000], data[6000:]]))
