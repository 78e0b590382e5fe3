"""The ledger on disk: a header that says whose it is, then blocks, appended.

A block has its length and body, each with a checksum that goes on from all before it, the header first. So a block
that was changed, lost, doubled, moved, or taken from another interface's ledger is damage, as another version is:
DamagedLedgerError, and the caller takes nothing for its own. A block that is cut short (a process killed while it
wrote, a full disk) ends the file; all before it counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.keys import LENGTH, PublicKey
from peerway.model.ledger import Op, Record
from peerway.model.prefix import AF_INET, AF_INET6

TITLE: Final = b"peerway ledger 3\n"
BLOCK: Final = struct.Struct("<QII")  # length of the body, CRC-32 of all up to the length, CRC-32 of all up to the body
LENGTH_OF_BODY: Final = struct.Struct("<Q")
GROUP: Final = struct.Struct(f"<BB{LENGTH}sI")  # operation, address family, peer, number of prefixes
STORED: Final = {AF_INET: np.dtype("<u8"), AF_INET6: cl.IPV6}  # how a prefix is kept: as in a column


class DamagedLedgerError(ValueError):
    """
    The bytes are no ledger that this version can trust.
    """


def header(identity: str) -> bytes:
    """
    How the ledger of this interface begins. `identity` is one line, which no other interface has.
    """
    return TITLE + identity.encode() + b"\n"


def encode(records: Iterable[Record], check: int) -> tuple[bytes, int]:
    """
    One block for these records, or nothing for none, and the checksum of the file up to its end. `check` is the one of
    the file so far; of a header alone it is its CRC-32.
    """
    parts: list[bytes] = []
    for op, peer, column in records:
        family = AF_INET if column.dtype == cl.IPV4 else AF_INET6
        parts += GROUP.pack(op, family, peer, len(column)), column.astype(STORED[family], copy=False).tobytes()
    body = b"".join(parts)
    if not body:
        return b"", check
    of_length = zlib.crc32(LENGTH_OF_BODY.pack(len(body)), check)
    of_body = zlib.crc32(body, of_length)
    return BLOCK.pack(len(body), of_length, of_body) + body, of_body


def decode(data: bytes, identity: str) -> Iterator[Record]:
    """
    The records of a whole file, in order. An empty file is an empty ledger. Raises DamagedLedgerError.
    """
    begin = header(identity)
    if not data.startswith(begin):
        if begin.startswith(data):
            return  # killed while the first bytes were written
        raise DamagedLedgerError("the ledger does not begin as one of this version and of this interface does")
    at, check = len(begin), zlib.crc32(begin)
    while at + BLOCK.size <= len(data):
        length, of_length, of_body = BLOCK.unpack_from(data, at)
        if zlib.crc32(LENGTH_OF_BODY.pack(length), check) != of_length:
            raise DamagedLedgerError(f"the ledger's block at byte {at} does not follow from what is before it")
        at += BLOCK.size
        body = memoryview(data)[at : at + length]
        if len(body) < length:
            return
        check = zlib.crc32(body, of_length)
        if check != of_body:
            raise DamagedLedgerError(f"the ledger's block at byte {at} has a wrong checksum")
        yield from _records(body)
        at += length


def _records(body: memoryview) -> Iterator[Record]:
    at = 0
    while at < len(body):
        if at + GROUP.size > len(body):
            raise DamagedLedgerError("the ledger has a cut group in a whole block")
        op, family, peer, count = GROUP.unpack_from(body, at)
        at += GROUP.size
        if family not in STORED:
            raise DamagedLedgerError(f"the ledger has prefixes of an unknown family {family}")
        end = at + count * STORED[family].itemsize
        if end > len(body):
            raise DamagedLedgerError("the ledger has fewer prefixes than it says")
        column = _column(family, body[at:end])
        try:
            yield Record(Op(op), PublicKey(peer), column)
        except ValueError as error:
            raise DamagedLedgerError(f"the ledger says {error}") from None
        at = end


def _column(family: int, raw: memoryview) -> Column:
    column = np.frombuffer(raw, STORED[family]).astype(cl.DTYPE[family])
    too_long = cl.lengths(column) > (32 if family == AF_INET else 128)
    if too_long.any() or (family == AF_INET and bool((column >= 1 << 40).any())):
        raise DamagedLedgerError("the ledger has an impossible prefix")
    return cl.unique(column)
