"""The ledger on disk: a header, then blocks with length and checksum, appended.

A block that is cut short (a process killed while it wrote) ends the file; all before it counts. A block with a wrong
checksum, or a file of another version, is damage: DamagedLedgerError, and the caller takes nothing for its own.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from peerway.model.keys import LENGTH, PublicKey
from peerway.model.ledger import Op, Record
from peerway.model.prefix import V6, Prefix

HEADER: Final = b"peerway ledger 1\n"
BLOCK: Final = struct.Struct("<II")  # length of the body, CRC-32 of the body
GROUP: Final = struct.Struct(f"<B{LENGTH}sI")  # operation, peer, number of prefixes
PREFIX_SIZE: Final = 18  # a Prefix is an int of 137 bits


class DamagedLedgerError(ValueError):
    """
    The bytes are no ledger that this version can trust.
    """


def encode(records: Iterable[Record]) -> bytes:
    """
    One block for these records, or nothing for none.
    """
    body = b"".join(
        GROUP.pack(record.op, bytes(record.peer), len(record.prefixes))
        + b"".join([prefix.to_bytes(PREFIX_SIZE, "big") for prefix in record.prefixes])
        for record in records
    )
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
        body = data[at : at + length]
        if len(body) < length:
            return
        if zlib.crc32(body) != checksum:
            raise DamagedLedgerError(f"the ledger's block at byte {at} has a wrong checksum")
        yield from _records(body)
        at += length


def _records(body: bytes) -> Iterator[Record]:
    at = 0
    while at < len(body):
        if at + GROUP.size > len(body):
            raise DamagedLedgerError("the ledger has a cut group in a whole block")
        op, peer, count = GROUP.unpack_from(body, at)
        at += GROUP.size
        end = at + count * PREFIX_SIZE
        if end > len(body):
            raise DamagedLedgerError("the ledger has fewer prefixes than it says")
        prefixes = tuple(_prefix(body[i : i + PREFIX_SIZE]) for i in range(at, end, PREFIX_SIZE))
        try:
            yield Record(Op(op), PublicKey(peer), prefixes)
        except ValueError as error:
            raise DamagedLedgerError(f"the ledger says {error}") from None
        at = end


def _prefix(raw: bytes) -> Prefix:
    value = int.from_bytes(raw, "big")
    length, bits = value & 0xFF, 128 if value & V6 else 32
    if value >= V6 << 1 or length > bits or (bits == 32 and value >> 40):
        raise DamagedLedgerError("the ledger has an impossible prefix")
    return Prefix(value)
