"""A netlink socket: requests, dumps, batches and multicast groups (netlink(7)).

The kernel answers a request while it is sent, so requests are synchronous and take microseconds; a timeout is only
a guard. A socket lives in the network namespace of the thread that opens it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from typing_extensions import Buffer

from peerway.backends.burst import AVAILABLE, Burst
from peerway.backends.inbox import Inbox, Receive
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_GET_STRICT_CHK: Final = 12
NETLINK_ROUTE: Final = 0
NETLINK_GENERIC: Final = 16
SO_ATTACH_FILTER: Final = 26
SO_DETACH_FILTER: Final = 27
SO_RCVBUFFORCE: Final = 33

TIMEOUT: Final = 10  # seconds; the kernel answers within send(), but may wait for a lock
_REPLY_BUFFER: Final = 1 << 20  # one datagram; a dump's are 32 KiB
_REQUEST_RCVBUF: Final = 1 << 20
_ANSWER_COST: Final = 2048  # bytes of receive buffer that one answer may take, with room to spare
_WAITING: Final = "netlink: waiting for the kernel's answer"

Request = tuple[int, int, bytes]
"""Type, flags (NLM_F_REQUEST is added) and payload of a message to send."""

Refused = dict[int, tuple[int, str]]
"""Error number and words of what was refused."""


class NetlinkError(OSError):
    """
    The kernel refused: `errno`, its extended words in `extack` (empty if it has none), and what was being done.
    """

    def __init__(self, number: int, extack: str = "", doing: str = "") -> None:
        words = extack or os.strerror(number)
        super().__init__(number, f"{doing}: {words}" if doing else words)
        self.extack = extack
        self.doing = doing


class Dump:
    """
    One dump that is being read: iterate once over `(type, payload)`. Raises NetlinkError if the kernel ends it with
    an error. `interrupted` tells, at the end, that something changed meanwhile, so that the dump may lack entries.
    """

    def __init__(self, sock: NetlinkSocket, seq: int, doing: str) -> None:
        self._sock, self.seq, self._doing = sock, seq, doing
        self._finished = False
        self.interrupted = False

    def __iter__(self) -> Iterator[tuple[int, memoryview]]:
        for datagram in self.datagrams():
            for message in nl.messages(datagram):
                if message.seq != self.seq:
                    continue
                if message.type < nl.NLMSG_MIN_TYPE or message.flags & nl.NLM_F_DUMP_INTR:
                    self.note(message)
                if message.type >= nl.NLMSG_MIN_TYPE:
                    yield message.type, message.payload

    def datagrams(self) -> Iterator[bytes]:
        """
        The raw datagrams, for a reader with its own walk. It must give each message whose type is below 16 or whose
        flags have NLM_F_DUMP_INTR to `note`, for that is how the end is seen.
        """
        while not self._finished:
            yield self._sock.receive()

    def fill(self, inbox: Inbox) -> Iterator[Inbox]:
        """
        The same for a reader of many datagrams at once: the inbox, filled anew each time.
        """
        while not self._finished:
            inbox.clear()
            # The kernel writes the next part while one is read, so that nothing waits only when all was told.
            if self._sock.receive_many(inbox) and not inbox.sizes:
                self._sock.receive_many(inbox, wait=True)
            yield inbox

    def note(self, message: nl.Message) -> None:
        """
        Take the end of the dump, its error, or the mark that it was interrupted.
        """
        if message.seq != self.seq:
            return
        if message.flags & nl.NLM_F_DUMP_INTR and message.type != nl.NLMSG_ERROR:
            self.interrupted = True
        if message.type == nl.NLMSG_DONE:
            answer = nl.done(message.payload, message.flags)
        elif message.type == nl.NLMSG_ERROR:
            answer = nl.acknowledgement(message.payload, message.flags)
        else:
            return
        self._finished = True
        if answer.errno:
            raise NetlinkError(answer.errno, answer.text, self._doing)


class NetlinkSocket:
    """
    One netlink socket. Raises OSError if it cannot be opened.
    """

    def __init__(self, protocol: int, *, timeout: float = TIMEOUT, mark: int = 0) -> None:
        """
        Open a socket of this netlink protocol (NETLINK_ROUTE, NETLINK_GENERIC) with a port id of its own. Requests
        bear the mark as their sender, which the kernel does not look at.
        """
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._buffer = memoryview(bytearray(_REPLY_BUFFER))
        self._receive_into: Receive = self._socket.recv_into
        self._burst = Burst(self._socket) if AVAILABLE else None
        self._seq, self._mark = 0, mark
        try:
            self._option(NETLINK_EXT_ACK)
            self._option(NETLINK_CAP_ACK)  # also keeps the keys of a refused request out of the answer
            self.strict = self._option(NETLINK_GET_STRICT_CHK)
            seconds, fraction = divmod(timeout, 1)
            guard = struct.pack("@ll", int(seconds), int(fraction * 1_000_000))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, guard)
            self._socket.bind((0, 0))
            self.port: int = self._socket.getsockname()[0]
            self.set_receive_buffer(_REQUEST_RCVBUF)
        except BaseException:
            self._socket.close()
            raise

    def _option(self, option: int) -> bool:
        try:
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        except OSError:  # the kernel is older than the option; each has a fallback
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """
        Close it; again does no harm.
        """
        self._socket.close()

    def fileno(self) -> int:
        """
        The descriptor.
        """
        return self._socket.fileno()

    def set_receive_buffer(self, size: int) -> int:
        """
        Ask for `size` bytes, beyond net.core.rmem_max where the process may (CAP_NET_ADMIN); what the kernel gave,
        which counts its own overhead.
        """
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        given = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.answers = max(1, given // _ANSWER_COST)
        """How many acknowledgements may wait."""
        return given

    def join(self, group: int) -> None:
        """
        Become a member of a multicast group (its number, not its bit). Raises OSError if there is none.
        """
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def filter(self, program: tuple[int, bytes] | None) -> None:
        """
        Let the kernel queue only what a BPF program passes (its number of instructions, and those); None for all. The
        new program takes the place of the old one at once. Raises OSError.
        """
        if program is None:
            with contextlib.suppress(FileNotFoundError):  # there was none
                self._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            return
        count, code = program
        instructions = ctypes.create_string_buffer(code, len(code))
        argument = struct.pack("@HP", count, ctypes.addressof(instructions))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, argument)

    def receive(self) -> bytes:
        """
        The next datagram; waits for it. Raises NetlinkError ETIMEDOUT after the guard's time, and OSError ENOBUFS
        once if something was lost.
        """
        try:
            return self._receive(0)
        except BlockingIOError:
            raise NetlinkError(errno.ETIMEDOUT, doing=_WAITING) from None

    def receive_waiting(self) -> bytes | None:
        """
        The next datagram if one waits, else None; never blocks. Raises OSError ENOBUFS once if something was lost:
        what follows is still there, but more may be lost until all was read.
        """
        try:
            return self._receive(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def receive_many(self, inbox: Inbox, limit: int = sys.maxsize, *, wait: bool = False) -> bool:
        """
        Take the datagrams that wait, as far as there is room and at most `limit`; whether all that waited was taken.
        With `wait` wait for one, and take that one. Raises like `receive`; what came before an error is in the inbox.
        """
        if not wait:
            return inbox.fill(self._receive_into, socket.MSG_DONTWAIT | socket.MSG_TRUNC, limit, self._burst)
        if inbox.fill(self._receive_into, socket.MSG_TRUNC, len(inbox.sizes) + 1):
            raise NetlinkError(errno.ETIMEDOUT, doing=_WAITING)
        return False

    def _receive(self, flags: int) -> bytes:
        size = self._receive_into(self._buffer, 0, flags | socket.MSG_TRUNC)
        if size > _REPLY_BUFFER:
            raise RemoteProtocolError(f"netlink: a datagram of {size} bytes is longer than {_REPLY_BUFFER}")
        return bytes(self._buffer[:size])

    def send(self, data: Buffer) -> None:
        """
        Send messages in one datagram. What was left behind by a dump that nobody read to its end, or by an answer that
        came too late, is thrown away before. Raises OSError.
        """
        with contextlib.suppress(RemoteProtocolError, OSError):
            while self.receive_waiting() is not None:
                pass
        self._socket.send(data)

    def next_seq(self, count: int = 1) -> int:
        """
        The first of `count` sequence numbers in a row that are not in use.
        """
        first = self._seq + 1
        if first + count > 0xFFFFFFFF:
            first = 1
        self._seq = first + count - 1
        return first

    def request(self, kind: int, flags: int, payload: bytes = b"", *, doing: str = "") -> list[nl.Message]:
        """
        Send one request and return its replies, without the acknowledgement, which is always asked for.

        Raises NetlinkError with the kernel's words; `doing` says in an error what was being done.
        """
        seq = self.next_seq()
        self.send(nl.message(kind, flags | nl.NLM_F_REQUEST | nl.NLM_F_ACK, seq, payload, self._mark))
        replies: list[nl.Message] = []
        while True:
            for message in nl.messages(self.receive()):
                if message.seq != seq:
                    continue  # the late answer to a request that was given up
                if message.type != nl.NLMSG_ERROR:
                    replies.append(message)
                    continue
                answer = nl.acknowledgement(message.payload, message.flags)
                if answer.errno:
                    raise NetlinkError(answer.errno, answer.text, doing)
                return replies

    def dump(self, kind: int, payload: bytes = b"", *, doing: str = "") -> Dump:
        """
        Ask for a dump; the answer is read while it is iterated. No other request may be made before its end.
        """
        seq = self.next_seq()
        self.send(nl.message(kind, nl.NLM_F_REQUEST | nl.NLM_F_DUMP, seq, payload))
        return Dump(self, seq, doing)
