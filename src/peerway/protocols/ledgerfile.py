"""The ledger on disk: a header, then blocks with length and checksum, appended.

A block that is cut short (a process killed while it wrote) ends the file; all before it counts. A block with a wrong
checksum, or a file of another version, is damage: DamagedLedgerError, and the caller takes nothing for its own.
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

HEADER: Final = b"peerway ledger 2\n"
BLOCK: Final = struct.Struct("<QI")  # length of the body, CRC-32 of the body
GROUP: Final = struct.Struct(f"<BB{LENGTH}sI")  # operation, address family, peer, number of prefixes
STORED: Final = {AF_INET: np.dtype("<u8"), AF_INET6: cl.IPV6}  # how a prefix is kept: as in a column


class DamagedLedgerError(ValueError):
    """
    The bytes are no ledger that this version can trust.
    """


def encode(records: Iterable[Record]) -> bytes:
    """
    One block for these records, or nothing for none.
    """
    parts: list[bytes] = []
    for op, peer, column in records:
        family = AF_INET if column.dtype == cl.IPV4 else AF_INET6
        parts += GROUP.pack(op, family, peer, len(column)), column.astype(STORED[family], copy=False).tobytes()
    body = b"".join(parts)
    return BLOCK.pack(len(body), zlib.crc32(body)) + body if body else b""


def decode(data: bytes) -> Iterator[Record]:
    """
    The records of a whole file, in order. An empty file is an empty ledger. Raises DamagedLedgerError.
    """
    if not data:
        return
    if not data.startswith(HEADER):
        if HEADER.startswith(data):
            return  # killed while the first bytes were written
        raise DamagedLedgerError("the ledger does not begin as one of this version does")
    at = len(HEADER)
    while at + BLOCK.size <= len(data):
        length, checksum = BLOCK.unpack_from(data, at)
        at += BLOCK.size
        body = memoryview(data)[at : at + length]
        if len(body) < length:
            return
        if zlib.crc32(body) != checksum:
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
