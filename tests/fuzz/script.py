"""Bytes as small programs: so that a fuzzer which knows nothing of netlink builds whole streams of messages.

A program that begins with RAW holds datagrams as they are, each behind its length. Any other is made of steps: begin a
message, say it again many times with a word counted up, change a byte or a length, add an attribute, cut.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from peerway.protocols import netlink as nl

RAW: Final = 0xFF
MOST: Final = 1 << 17  # bytes that one program makes
KINDS: Final = (24, 25, 16, 17, 20, 21, 104, 105, 2, 3)  # routes, links, addresses, nexthops, errors, ends
FLAGS: Final = (2, 0x12, 0x600, 0xC00, 0x400, 0x100, 0x500, 0)


class Reader:
    """Takes numbers and bytes from the front; behind the end all is zero."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        self._at += count
        return part

    def byte(self) -> int:
        return int.from_bytes(self.take(1), "little")

    def short(self) -> int:
        return int.from_bytes(self.take(2), "little")

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def raw(datagrams: Sequence[bytes]) -> bytes:
    """The program that gives these datagrams."""
    return bytes([RAW]) + b"".join(struct.pack("<H", len(datagram)) + datagram for datagram in datagrams)


def datagrams(data: bytes) -> list[bytes]:
    """What a program gives."""
    reader = Reader(data)
    if data[:1] == bytes([RAW]):
        reader.byte()
        found = []
        while reader.left > 0:
            found.append(reader.take(reader.short()))
        return found
    return _Builder(reader).run()


class _Builder:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._done: list[bytes] = []
        self._message = bytearray()
        self._join = False
        self._size = 0

    def run(self) -> list[bytes]:
        reader = self._reader
        while reader.left > 0 and self._size < MOST:
            match reader.byte() % 8:
                case 0:
                    self._finish()
                    self._begin()
                case 1:
                    self._again(reader.byte() + 1, reader.byte(), reader.byte())
                case 2:
                    self._put(reader.short(), reader.take(1))
                case 3:
                    self._add(reader.byte(), reader.take(reader.byte() % 40))
                case 4:
                    self._join = not self._join
                case 5:
                    del self._message[len(self._message) - reader.byte() % 16 :]
                case 6:
                    self._put(reader.byte() * 4, reader.take(4))
                case _:
                    self._add(reader.byte(), reader.take((4, 16)[reader.byte() % 2]))
        self._finish()
        return self._done

    def _begin(self) -> None:
        reader = self._reader
        kind, flags = reader.byte(), reader.byte()
        payload = reader.take(reader.byte() % 64)
        self._message += nl.message(KINDS[kind % len(KINDS)], FLAGS[flags % len(FLAGS)], 1, payload)

    def _again(self, times: int, word: int, step: int) -> None:
        message, at = self._message, word * 4
        for _ in range(times if message else 0):
            copy = bytearray(message)
            if at + 4 <= len(copy):
                number = int.from_bytes(copy[at : at + 4], "big") + (step << 8)
                copy[at : at + 4] = (number & 0xFFFFFFFF).to_bytes(4, "big")
            self._finish()
            self._message = message = copy
            if self._size >= MOST:
                return

    def _put(self, at: int, value: bytes) -> None:
        at %= len(self._message) + 1
        if at + len(value) <= len(self._message):
            self._message[at : at + len(value)] = value

    def _add(self, kind: int, value: bytes) -> None:
        if len(self._message) >= nl.HEADER.size:
            self._message += nl.attribute(kind % 32, value)
            self._message[:4] = len(self._message).to_bytes(4, nl.ORDER)

    def _finish(self) -> None:
        if self._message:
            self._size += len(self._message)
            if self._join and self._done and len(self._done[-1]) + len(self._message) < 1 << 15:
                self._done[-1] += bytes(self._message)
            else:
                self._done.append(bytes(self._message))
        self._message = bytearray()
