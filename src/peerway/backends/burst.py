"""Many short datagrams by one system call (recvmmsg(2)): in a burst, a call for each costs more than all that is done
with them. Where the C library has no such call, they are received one by one.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
from typing import Final

import numpy as np

from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.nlstream import Words

MOST: Final = 128  # datagrams of one call
SHORT: Final = 256  # bytes of a datagram that needs no care; a route's notification has about a hundred
LONGEST: Final = 1 << 17  # bytes of one: an attribute has less than 64 KiB

_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_TRUNC
_PLACES: Final = np.arange(SHORT // 4)


def room(size: int) -> mmap.mmap:
    """
    So many bytes, of which memory is taken only where they are written.
    """
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class _Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("parts", ctypes.c_void_p),
        ("parts_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


_recvmmsg = getattr(ctypes.CDLL(None, use_errno=True), "recvmmsg", None)
AVAILABLE: Final = _recvmmsg is not None


class Burst:
    """
    Receives what waits at a socket, many at a time.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._slots: _Slots | None = None  # most sockets never have a burst

    def receive(self, words: Words, most: int) -> tuple[list[int], int]:
        """
        Put at most `most` datagrams into `words`, each from a word on; their sizes, and how many words they take. There
        must be room for MOST of the longest.

        Raises BlockingIOError if none waits, other OSError of the socket, and RemoteProtocolError for a datagram of
        more than LONGEST bytes.
        """
        if _recvmmsg is None:
            raise NotImplementedError("this C library has no recvmmsg")
        slots = self._slots = self._slots or _Slots()
        count = _recvmmsg(self._socket.fileno(), slots.messages, min(most, MOST), _FLAGS, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return slots.put(count, words)


class _Slots:
    """
    Where datagrams are received: the begin of each in a row of its own, and what is longer elsewhere.
    """

    def __init__(self) -> None:
        rest = LONGEST - SHORT
        self._begins = np.zeros((MOST, SHORT // 4), np.uint32)
        self._rests = np.frombuffer(room(MOST * rest), np.uint8).reshape(MOST, rest)
        self._parts = (_Part * 2 * MOST)()
        self.messages = (_Message * MOST)()
        for at, (parts, message) in enumerate(zip(self._parts, self.messages, strict=True)):
            parts[0] = _Part(self._begins[at].ctypes.data, SHORT)
            parts[1] = _Part(self._rests[at].ctypes.data, rest)
            message.header.parts, message.header.parts_length = ctypes.addressof(parts), len(parts)
        step = (ctypes.sizeof(_Message),)
        self._lengths = np.ndarray(
            (MOST,), np.uint32, memoryview(self.messages).cast("B"), _Message.length.offset, step
        )

    def put(self, count: int, words: Words) -> tuple[list[int], int]:
        """
        Put the first so many datagrams into `words`; their sizes, and how many words they take.
        """
        lengths = self._lengths[:count]
        longest, sizes = int(lengths.max(initial=0)), lengths.tolist()
        if longest > LONGEST:
            raise RemoteProtocolError(f"netlink: a datagram of {longest} bytes is longer than {LONGEST}")
        if longest > SHORT:
            return sizes, self._put_long(sizes, words)
        filled = (lengths + np.uint32(3)) >> np.uint32(2)
        wide = longest + 3 >> 2
        begins = self._begins[:count, :wide]
        some = begins.reshape(-1) if (filled == wide).all() else begins[filled[:, None] > _PLACES[:wide]]
        words[: len(some)] = some
        return sizes, len(some)

    def _put_long(self, sizes: list[int], words: Words) -> int:
        octets, at = words.view(np.uint8), 0
        for begin, rest, size in zip(self._begins.view(np.uint8), self._rests, sizes, strict=False):
            octets[at : at + size] = np.concatenate((begin[:size], rest[: max(0, size - SHORT)]))
            at += (size + 3) & ~3
        return at >> 2
