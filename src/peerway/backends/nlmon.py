"""A tap on other programs' requests to kernel WireGuard: an nlmon link, and a packet socket with a filter.

A request is seen before it takes effect, its acknowledgement after (facts: drivers/net/nlmon.c), so devices are told
at the acknowledgement. A request that asks for none is told at once and again a moment later, for nothing tells when
it took effect. The tap sees one network namespace, ours; making it needs CAP_NET_ADMIN and CAP_NET_RAW.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import logging
import select
import socket
import struct
from pathlib import Path
from typing import Final

from peerway.backends.kernel import wireguard_family
from peerway.backends.netlink import NETLINK_GENERIC, NETLINK_ROUTE, SO_RCVBUFFORCE, NetlinkError, NetlinkSocket
from peerway.backends.timerfd import Timer
from peerway.protocols import netlink as nl
from peerway.protocols import nlmon, rtlink
from peerway.protocols.errors import RemoteProtocolError

KIND: Final = "nlmon"
NAME: Final = "pwmon"
ALIAS: Final = "peerway"  # marks a link as ours; set after its socket is bound
BUFFER: Final = 8 << 20  # bytes; 64 kB requests come in bursts
AGAIN: Final = 0.1  # seconds after which a request without acknowledgement surely took effect
MAX_PENDING: Final = 4096

IFLA_IFALIAS: Final = 20
SO_ATTACH_FILTER: Final = 26
SOL_PACKET: Final = 263
PACKET_STATISTICS: Final = 6
ETH_P_ALL: Final = 3
_SOCKETS: Final = Path("/proc/thread-self/net/packet")

log = logging.getLogger(__name__)


class NlmonTap:
    """
    Shows that another program changed a kernel WireGuard device (model.ports.DeviceTap).
    """

    def __init__(self, mark: int) -> None:
        """
        Make the tap in the calling thread's network namespace; `mark` is what our own requests bear. Raises OSError
        with a sentence if this kernel or our privileges do not allow a tap.
        """
        self._pending: dict[tuple[int, int], list[int | str | None]] = {}
        self._again: set[int | str | None] = set()
        self._closed = False
        with contextlib.ExitStack() as stack:
            self._route = NetlinkSocket(NETLINK_ROUTE)
            stack.callback(self._route.close)
            remove_leftovers(self._route)
            with NetlinkSocket(NETLINK_GENERIC) as generic:
                family = wireguard_family(generic)
            self.name, self._ifindex = _make_link(self._route)
            stack.callback(_remove_link, self._route, self._ifindex)
            _change_link(self._route, self._ifindex, flags=rtlink.IFF_UP)  # or bind() leaves an ENETDOWN behind
            self._socket = _packet_socket(self.name, family, mark)
            stack.callback(self._socket.close)
            _change_link(self._route, self._ifindex, nl.attribute_text(IFLA_IFALIAS, ALIAS))
            self._timer = Timer()
            stack.callback(self._timer.close)
            self._epoll = select.epoll()
            stack.callback(self._epoll.close)
            self._epoll.register(self._socket, select.EPOLLIN)
            self._epoll.register(self._timer, select.EPOLLIN)
            self._stack = stack.pop_all()

    def fileno(self) -> int:
        """
        The descriptor that is readable while frames wait, or while a device is to be told again.
        """
        return self._epoll.fileno()

    def read_hints(self) -> set[int | str] | None:
        """
        The devices (by ifindex or name, as the other program named them) that were changed since the last call; None
        if any may have been. Raises OSError when the tap is gone (ENETDOWN: somebody took the link away).
        """
        told: set[int | str | None] = set()
        if self._timer.expired():
            told |= self._again
            self._again.clear()
        while True:
            try:
                frame = self._socket.recv(nlmon.FRAME)
            except BlockingIOError:
                break
            self._frame(frame, told)
        if self._dropped():
            self._pending.clear()
            return None
        return None if None in told else {device for device in told if device is not None}

    def close(self) -> None:
        """
        Remove the tap; again does no harm.
        """
        if not self._closed:
            self._closed = True
            self._stack.close()

    def _frame(self, frame: bytes, told: set[int | str | None]) -> None:
        try:
            seen = nlmon.parse(frame)
        except RemoteProtocolError as error:
            log.debug("the tap saw a request that it cannot read: %s", error)
            told.add(None)
            return
        if isinstance(seen, nlmon.SetAnswer):
            told.update(self._pending.pop((seen.pid, seen.seq), [None]))
        elif seen.acknowledged:
            if len(self._pending) >= MAX_PENDING:
                self._pending.pop(next(iter(self._pending)))
            self._pending.setdefault((seen.pid, seen.seq), []).append(seen.device)
        else:
            told.add(seen.device)
            self._again.add(seen.device)
            self._timer.start(AGAIN)

    def _dropped(self) -> bool:
        raw = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        _, drops = struct.unpack("=II", raw)
        return bool(drops)


def remove_leftovers(route: NetlinkSocket) -> None:
    """
    Remove taps that a killed peerway left behind: links that bear our mark and that nobody listens at.
    """
    listened = _listened()
    found = []
    # Not by process id: the other one may live in another pid namespace.
    for kind, payload in route.dump(rtlink.RTM_GETLINK, rtlink.IFINFOMSG.pack(0, 0, 0, 0, 0), doing="listing links"):
        change = rtlink.parse_link(kind, payload)
        if change and change.link and change.link.kind == KIND and change.ifindex not in listened:
            alias = nl.attributes(payload[rtlink.IFINFOMSG.size :]).get(IFLA_IFALIAS)
            if alias is not None and nl.text(alias) == ALIAS:
                found.append(change.link)
    for link in found:
        log.info("removing %s, which a peerway left behind", link.name)
        _remove_link(route, link.ifindex)


def _listened() -> set[int]:
    # The fifth column of /proc/net/packet is the interface's index (packet_seq_show).
    with contextlib.suppress(OSError):
        return {int(line.split()[4]) for line in _SOCKETS.read_text().splitlines()[1:]}
    return set()


def _make_link(route: NetlinkSocket) -> tuple[str, int]:
    info = nl.nested(rtlink.IFLA_LINKINFO, nl.attribute_text(rtlink.IFLA_INFO_KIND, KIND))
    header = rtlink.IFINFOMSG.pack(0, 0, 0, 0, 0)
    for number in itertools.count():
        name = f"{NAME}{number}"
        payload = header + nl.attribute_text(rtlink.IFLA_IFNAME, name) + info
        try:
            flags = nl.NLM_F_CREATE | nl.NLM_F_EXCL
            route.request(rtlink.RTM_NEWLINK, flags, payload, doing=f"making the tap {name}")
        except NetlinkError as error:
            if error.errno == errno.EEXIST:
                continue
            if error.errno == errno.EOPNOTSUPP:
                words = "this kernel has no nlmon (CONFIG_NLMON), so changes by other programs are found by polling"
                raise OSError(errno.EOPNOTSUPP, words) from error
            raise
        return name, socket.if_nametoindex(name)
    raise AssertionError


def _change_link(route: NetlinkSocket, ifindex: int, attributes: bytes = b"", *, flags: int = 0) -> None:
    payload = rtlink.IFINFOMSG.pack(0, 0, ifindex, flags, flags) + attributes
    route.request(rtlink.RTM_NEWLINK, 0, payload, doing="setting up the tap")


def _remove_link(route: NetlinkSocket, ifindex: int) -> None:
    with contextlib.suppress(OSError):
        route.request(rtlink.RTM_DELLINK, 0, rtlink.IFINFOMSG.pack(0, 0, ifindex, 0, 0), doing="removing the tap")


def _packet_socket(name: str, family: int, mark: int) -> socket.socket:
    # Protocol 0 until the filter is there, so that nothing else gets in.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        count, program = nlmon.bpf(family, mark)
        instructions = ctypes.create_string_buffer(program, len(program))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", count, ctypes.addressof(instructions)))
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind((name, ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock
