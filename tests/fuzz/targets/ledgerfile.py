"""Ledger files."""

from __future__ import annotations

import contextlib
import struct
import zlib

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.ledger import Memory, Op, Record
from peerway.protocols.ledgerfile import BLOCK, DamagedLedgerError, decode, encode, header

NAME = "boot-7"
HEADER = header(NAME)


def seeds() -> list[bytes]:
    peer = PublicKey(b"\1" * 32)
    columns = cl.columns([px.parse("10.0.0.0/8"), px.parse("10.1.0.0/16"), px.parse("2001:db8::/32")])
    data, check = HEADER, zlib.crc32(HEADER)
    for op in Op:
        block, check = encode([Record(op, peer, column) for column in columns], check)
        data += block
    return [data, data[len(HEADER) + BLOCK.size :], b""]


def one(data: bytes) -> None:
    """
    Any file, and any body in a block with the right checksums, is records or a DamagedLedgerError. What was read says
    the same when it is written again, and can be replayed.
    """
    of_length = zlib.crc32(struct.pack("<Q", len(data)), zlib.crc32(HEADER))
    block = BLOCK.pack(len(data), of_length, zlib.crc32(data, of_length)) + data
    for whole in (data, HEADER + data, HEADER + block):
        with contextlib.suppress(DamagedLedgerError):
            records = list(decode(whole, NAME))
            Memory().replay(records)
            again, _ = encode(records, zlib.crc32(HEADER))
            assert [_said(record) for record in decode(HEADER + again, NAME)] == [_said(record) for record in records]


def _said(record: Record) -> object:
    return record.op, record.peer, cl.prefixes(record.column)
