"""The ledger on disk: cut anywhere it is a beginning of itself, changed anywhere it is damage, never a wrong record."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.ledger import Op, Record
from peerway.model.prefix import Prefix
from peerway.protocols.ledgerfile import BLOCK, GROUP, LENGTH_OF_BODY, DamagedLedgerError, decode, encode, header
from tests.harness.columns import one
from tests.harness.site import key
from tests.harness.wg_strategies import KEYS, PREFIXES

RECORDS = st.lists(
    st.builds(
        lambda op, peer, prefixes: [Record(op, peer, column) for column in cl.columns(prefixes)],
        st.sampled_from(Op),
        KEYS,
        st.lists(PREFIXES, min_size=1, max_size=4),
    ),
    max_size=4,
).map(lambda found: [record for records in found for record in records])
BLOCKS = st.lists(RECORDS, max_size=4)
NAME = "boot-7"
HEADER = header(NAME)
NET = px.parse("10.0.0.0/8")
Said = tuple[Op, PublicKey, list[Prefix]]


def file_of(blocks: list[list[Record]]) -> bytes:
    return HEADER + b"".join(blocks_of(blocks))


def blocks_of(blocks: list[list[Record]]) -> list[bytes]:
    """Blocks as they stand in a file after each other."""
    check, found = zlib.crc32(HEADER), []
    for records in blocks:
        block, check = encode(records, check)
        found.append(block)
    return found


def said(records: Iterable[Record]) -> list[Said]:
    """What records say, to be compared."""
    return [(record.op, record.peer, cl.prefixes(record.column)) for record in records]


def flat(blocks: list[list[Record]]) -> list[Said]:
    return [entry for records in blocks for entry in said(records)]


def block(body: bytes) -> bytes:
    """A whole first block around any body."""
    of_length = zlib.crc32(LENGTH_OF_BODY.pack(len(body)), zlib.crc32(HEADER))
    return BLOCK.pack(len(body), of_length, zlib.crc32(body, of_length)) + body


def beginning(data: bytes) -> tuple[list[Said], bool]:
    """The records that are read, and whether damage ended it."""
    found: list[Said] = []
    try:
        for record in decode(data, NAME):
            found += said([record])
    except DamagedLedgerError:
        return found, True
    return found, False


@given(BLOCKS)
def test_what_is_written_is_read(blocks: list[list[Record]]) -> None:
    """All records come back, in their order, however they were put in blocks."""
    assert said(decode(file_of(blocks), NAME)) == flat(blocks)


@given(BLOCKS, st.data())
def test_a_cut_file_is_a_beginning(blocks: list[list[Record]], data: st.DataObject) -> None:
    """A process killed while it wrote leaves whole blocks and a part: the whole ones count, and nothing else."""
    whole = file_of(blocks)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    expected: list[Said] = []
    at = len(HEADER)
    for records, block in zip(blocks, blocks_of(blocks), strict=True):
        at += len(block)
        if at > len(cut):
            break
        expected += said(records)
    assert said(decode(cut, NAME)) == expected


@given(BLOCKS, st.data())
def test_a_changed_byte_is_damage(blocks: list[list[Record]], data: st.DataObject) -> None:
    """Whatever byte becomes whatever: the file is damaged, and what is read before that are the records before it."""
    whole = bytearray(file_of(blocks))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    found, damaged = beginning(bytes(whole))
    assert found == flat(blocks)[: len(found)]
    assert damaged


@given(BLOCKS, st.integers(0, 4), st.integers(0, 4))
def test_blocks_out_of_order_are_damage(blocks: list[list[Record]], at: int, to: int) -> None:
    """A block that is missing in the middle, doubled or elsewhere is never passed over."""
    whole = [part for part in blocks_of(blocks) if part]
    for parts in (whole[:at] + whole[at + 1 :], whole[:to] + whole[at : at + 1] + whole[to:]):
        assert beginning(HEADER + b"".join(parts))[1] == (parts != whole[: len(parts)])


@given(BLOCKS.filter(any))
def test_blocks_of_another_interface_are_damage(blocks: list[list[Record]]) -> None:
    """The same bytes under the header of another interface are not believed."""
    for foreign in (header("boot-8"), header("toob-7")):
        moved = foreign + file_of(blocks)[len(HEADER) :]
        with pytest.raises(DamagedLedgerError, match="this interface"):
            list(decode(moved, NAME))
        with pytest.raises(DamagedLedgerError, match="does not follow"):
            list(decode(moved, foreign.split(b"\n")[1].decode()))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_damaged(data: bytes, with_header: bool) -> None:
    """No bytes raise anything but DamagedLedgerError, or take for ever."""
    beginning(HEADER + data if with_header else data)
    beginning(HEADER + block(data))


@given(st.binary(min_size=1, max_size=40).filter(lambda data: not HEADER.startswith(data[: len(HEADER)])))
def test_a_file_of_something_else_is_damaged(data: bytes) -> None:
    """A file that does not begin as a ledger of this version is not read at all."""
    assert beginning(data) == ([], True)


def test_an_empty_file_is_an_empty_ledger() -> None:
    """Nothing written, or only a part of the header: no records, and no damage."""
    for length in range(len(HEADER) + 1):
        assert list(decode(HEADER[:length], NAME)) == []


def test_no_records_are_no_bytes() -> None:
    """Nothing to say writes nothing."""
    assert encode([], 7) == (b"", 7)


def body(op: int = 1, count: int = 1, prefix: int = NET) -> bytes:
    """A group as it lies on disk, right or wrong; of both families the number of a prefix is what is kept."""
    if prefix & px.V6:
        return GROUP.pack(op, px.AF_INET6, bytes(key(1)), count) + (prefix ^ px.V6).to_bytes(17, "big")
    return GROUP.pack(op, px.AF_INET, bytes(key(1)), count) + prefix.to_bytes(8, "little")


def of_family(family: int) -> bytes:
    return GROUP.pack(1, family, bytes(key(1)), 1) + bytes(17)


def test_the_layout_of_a_block_does_not_change() -> None:
    """A ledger of an older process is read by a newer one: this is how its bytes lie."""
    expected = struct.pack("<BB32sIQ", 1, 2, bytes(key(1)), 1, NET)
    of_length = zlib.crc32(HEADER + struct.pack("<Q", 46))
    check = zlib.crc32(HEADER + struct.pack("<Q", 46) + expected)
    whole = struct.pack("<QII", 46, of_length, check) + expected
    assert encode([Record(Op.OURS, key(1), one(NET))], zlib.crc32(HEADER)) == (whole, check)
    six = px.parse("2001:db8::/32")
    expected = struct.pack("<BB32sI16sB", 5, 10, bytes(key(2)), 1, bytes.fromhex("20010db8") + bytes(12), 32)
    of_length = zlib.crc32(struct.pack("<Q", 55), check)
    whole = struct.pack("<QII", 55, of_length, zlib.crc32(expected, of_length)) + expected
    assert encode([Record(Op.RETURNED, key(2), one(six))], check)[0] == whole
    assert HEADER == b"peerway ledger 3\nboot-7\n"
    assert [int(op) for op in (Op.OURS, Op.DROPPED, Op.DISPLACING, Op.DISPLACED, Op.RETURNED)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (body()[:20], "cut group"),
        (body(count=2), "fewer prefixes than it says"),
        (body(op=99), "99"),
        (of_family(0), "unknown family 0"),
        (of_family(px.AF_INET + 1), "unknown family"),
        (body(prefix=1 << 40 | 8), "impossible prefix"),
        (body(prefix=NET & ~0xFF | 33), "impossible prefix"),
        (body(prefix=px.V6 | 129), "impossible prefix"),
    ],
)
def test_a_whole_block_that_makes_no_sense_is_damage(wrong: bytes, words: str) -> None:
    """A right checksum does not make a wrong group, operation or prefix right."""
    with pytest.raises(DamagedLedgerError, match=words):
        list(decode(HEADER + block(wrong), NAME))


def test_the_edges_of_prefixes_are_read() -> None:
    """Hosts and defaults of both families are no damage."""
    edges = tuple(px.parse(text) for text in ("0.0.0.0/0", "255.255.255.255", "::/0", "ff" * 2 + "::"))
    records = [Record(Op.OURS, key(1), column) for column in cl.columns(edges)]
    assert said(decode(file_of([records]), NAME)) == [
        (Op.OURS, key(1), sorted(edges[:2])),
        (Op.OURS, key(1), sorted(edges[2:])),
    ]
