"""Reading many routes at once says what reading each with care says, whatever comes, in the same order."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols import rtdecoder, rtlayout, rtrows
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.nlstream import alike, cut
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtroute import parse_route
from peerway.protocols.rtrows import RouteRows, compact
from tests.harness.routes import attribute, attributes_of, damaged, header_of, payload_of, routes, words_of

Told = list[tuple[Prefix, Path]]


def careful(payloads: list[bytes]) -> dict[int, Told]:
    """What the careful reader says of each message that it can read, by family."""
    told: dict[int, Told] = {AF_INET: [], AF_INET6: []}
    for payload in payloads:
        try:
            read = parse_route(payload)
        except RemoteProtocolError:
            continue
        if read is not None:
            told[px.family(read.prefix)].append((read.prefix, read.path))
    return told


def quick(rows: RouteRows, payloads: list[bytes]) -> dict[int, Told]:
    """What columns say of the same messages, one to a datagram."""
    words, sizes = words_of([nl.message(24, 2, 1, payload) for payload in payloads])
    lengths = np.array([nl.HEADER.size + len(payload) for payload in payloads], np.uint32)
    begins = np.cumsum([0, *(nl.aligned(size) // 4 for size in sizes)])[:-1]
    pieces = rows.begin()
    for block in alike(words, begins, lengths):
        rows.read(block, pieces)
    told: dict[int, Told] = {AF_INET: [], AF_INET6: []}
    for family in told:
        piece = pieces.whole(family)
        if piece is not None:
            codes, paths = compact(rows.paths, piece.numbers)
            assert {id(path) for path in paths} <= {id(path) for path in rows.paths}
            told[family] = [
                (prefix, paths[code]) for prefix, code in zip(cl.prefixes(piece.column), codes.tolist(), strict=True)
            ]
    return told


@st.composite
def tables(draw: st.DrawFn) -> list[bytes]:
    """Messages as a table has them: a few paths, each in an order of attributes of its own, and many prefixes."""
    kinds = []
    for prefix, path in draw(st.lists(routes(), min_size=1, max_size=5)):
        unknown = draw(st.lists(st.sampled_from([4, 4, 1, 7, 36]), max_size=2))
        kinds.append((px.family(prefix), path, unknown, draw(st.integers(0, 2))))
    dice = random.Random(draw(st.integers(0, 2**32)))
    table = []
    for _ in range(draw(st.integers(1, 40))):
        family, path, unknown, seed = dice.choice(kinds)
        size = 4 if family == AF_INET else 16
        parts = attributes_of(px.make(family, dice.randbytes(size), dice.randint(0, 8 * size)), path)
        # Values of attributes that say nothing of the path differ from message to message.
        parts += [attribute(99, dice.randbytes(size)) for size in unknown]
        random.Random(seed).shuffle(parts)
        prefix = px.make(family, bytes(size), dice.randint(0, 8 * size))
        table.append(header_of(prefix, path) + b"".join(parts))
    return table


@given(st.lists(tables(), min_size=1, max_size=3))
def test_columns_say_what_the_careful_reader_says(stretches: list[list[bytes]]) -> None:
    """For tables of any paths and orders of attributes, also when layouts are known from before."""
    rows = RouteRows(RouteDecoder())
    for payloads in [*stretches, stretches[0]]:
        assert quick(rows, payloads) == careful(payloads)


BAD = damaged(st.builds(lambda one: payload_of(*one), routes()))


@given(tables(), st.lists(BAD, max_size=4), st.integers(0, 2**32))
def test_damaged_messages_among_good_ones_are_read_alike(payloads: list[bytes], bad: list[bytes], seed: int) -> None:
    """Bytes overwritten anywhere, and messages cut anywhere, before and after layouts were learnt."""
    rows, dice = RouteRows(RouteDecoder()), random.Random(seed)
    for _ in range(2):
        payloads = [one[: dice.choice([len(one), dice.randint(0, len(one))])] for one in payloads] + payloads + bad
        dice.shuffle(payloads)
        assert quick(rows, payloads) == careful(payloads)


@given(tables(), st.integers(0, 2**32))
def test_no_single_bit_is_overlooked(payloads: list[bytes], seed: int) -> None:
    """Where one message differs from the others in any one bit, it is still read as the careful reader does."""
    rows, dice = RouteRows(RouteDecoder()), random.Random(seed)
    quick(rows, payloads)
    changed = []
    for payload in payloads * 2:
        bits = bytearray(payload)
        bits[dice.randrange(len(bits))] ^= 1 << dice.randrange(8)
        changed.append(bytes(bits))
    assert quick(rows, changed) == careful(changed)


HOPS = (NextHop(3, px.parse_address("fe80::1")),)


def many(count: int, *, gateways: int = 1, metrics: int = 1) -> list[bytes]:
    dice = random.Random(count)
    return [
        payload_of(
            px.make(2, dice.randbytes(4), dice.randrange(1, 33)),
            Path(254, 4, 1 + at % metrics, (NextHop(3, px.host(10, dice.choice(GATEWAYS[:gateways]))),)),
        )
        for at in range(count)
    ]


GATEWAYS = [random.Random(at).randbytes(16) for at in range(400)]


@pytest.mark.parametrize("gateways", [1, 2, 400])
def test_gateways_of_many_varying_words_are_told_apart(gateways: int) -> None:
    """Random 128-bit gateways are longer than an exact key, and still each row has its own."""
    rows = RouteRows(RouteDecoder())
    for count in (700, 2000):
        payloads = many(count, gateways=gateways)
        assert quick(rows, payloads) == careful(payloads)


def test_two_rows_with_one_sum_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the keys of different words meet, the words decide."""
    monkeypatch.setattr(rtlayout, "_MULTIPLIER", np.uint64(0))  # each sum is its last word alone
    rows = RouteRows(RouteDecoder())
    payloads = many(500, gateways=300, metrics=7)
    assert quick(rows, payloads) == careful(payloads)
    assert quick(rows, payloads) == careful(payloads)


@pytest.mark.parametrize(
    "strange", [{"metric": 9}, {"tos": 4}, {"table": 7}, {"type": 6}, {"nexthops": (NextHop(8),) * 2}]
)
def test_one_strange_row_among_very_many_is_its_own(strange: dict[str, Any]) -> None:
    """A word that never varies but in one row of a thousand makes another path of that row, and of no other."""
    rows, path = RouteRows(RouteDecoder()), Path(254, 4, 5, (NextHop(3), NextHop(4)))
    payloads = [payload_of(px.parse("10.0.0.0/8"), path)] * 1000
    payloads[500] = payload_of(px.parse("10.0.0.0/8"), dataclasses.replace(path, **strange))
    for _ in range(2):
        assert quick(rows, payloads) == careful(payloads)


def test_most_messages_are_never_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large table the careful reader sees one message for each path, and those that stand apart."""
    seen = []

    def counted(payload: bytes) -> object:
        seen.append(payload)
        return parse_route(payload)

    monkeypatch.setattr(rtrows, "parse_route", counted)
    monkeypatch.setattr(rtdecoder, "parse_route", counted)
    payloads = many(5000, gateways=20)
    payloads[0] = payload_of(px.DEFAULT_V4, Path(254, 4, 1, HOPS))  # has no RTA_DST
    payloads[777] = header_of(px.DEFAULT_V4, Path(254, 4, 1)) + b"".join(
        reversed(attributes_of(px.parse("10.0.0.0/8"), Path(254, 4, 1, HOPS)))
    )
    assert quick(RouteRows(RouteDecoder()), payloads) == careful(payloads)
    assert len(seen) < 40


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths without end do not fill our memory, and are still read rightly."""
    monkeypatch.setattr(rtdecoder, "KNOWN_LIMIT", 64)
    monkeypatch.setattr(rtlayout, "_KNOWN", 16)
    rows = RouteRows(RouteDecoder())
    for at in range(8):
        payloads = many(300, gateways=3 + at, metrics=50)
        assert quick(rows, payloads) == careful(payloads)
        assert len(rows.paths) < 64 + 300


def test_equal_paths_are_one_object_in_all_ways() -> None:
    """Alone, in a block or by the careful reader: the path is the same object."""
    decoder = RouteDecoder()
    rows = RouteRows(decoder)
    payloads = many(100, gateways=5)
    alone = [decoder.route(payload) for payload in payloads[:50]]
    told = quick(rows, payloads)[AF_INET][:50]
    assert [id(path) for _, path in told] == [id(one[1]) for one in alone if one]


def test_the_words_of_a_stream_are_its_messages() -> None:
    """A table of two lengths that come by turns is cut rightly."""
    payloads = [payload_of(px.parse("10.0.0.0/8"), Path(254, 4, at % 2, HOPS)) for at in range(400)]
    parts = [payloads[at : at + 50] for at in range(0, 400, 50)]
    words, sizes = words_of([b"".join(nl.message(24, 2, 1, one) for one in part) for part in parts])
    blocks = cut(words, np.cumsum(sizes) >> 2)
    assert blocks is not None
    assert sorted(len(block.rows) for block in blocks) == [200, 200]
