"""Where benches happen: a namespace with one wireguard-go, peers without endpoints, and routes to them.

Prefix number i is the i-th /24 above 10.0.0.0. Everything here goes through sockets of its own, not through peerway's
backends, so that a mistake there cannot hide itself; only messages are built by peerway's codec, before the clock runs.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import SOCKETS
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import AF_INET, Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols import rtroute
from peerway.protocols.rtrequest import RouteTemplate

RTNLGRP_IPV4_ROUTE: Final = 7
SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
REPLACE: Final = nl.NLM_F_CREATE | nl.NLM_F_REPLACE
LINK_LOCAL: Final = px.parse("fe80::/64")
BATCH: Final = 500


class WrongEndError(AssertionError):
    """
    The AllowedIPs at the end are not those that the routes name.
    """


class Place:
    """
    The namespace with its device. `expected` is who should hold which prefix, by the routes that were sent.
    """

    def __init__(self, peers: int) -> None:
        self.keys = [PublicKey(bytes([number]) * 32) for number in range(1, peers + 1)]
        self.gateways = [derived_address(LINK_LOCAL, key) for key in self.keys]
        self.expected: dict[Prefix, PublicKey] = {}
        self.namespace = Namespace("bench")

    def __enter__(self) -> Self:
        self.namespace.create()
        try:
            self._furnish()
        except BaseException:
            self.namespace.delete()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.namespace.delete()
        self.uapi.close()
        self._ask.close()

    def _furnish(self) -> None:
        self.device = wireguard.create(self.namespace, userspace=True)
        self.ifindex = int(self.namespace.ip("-o", "link", "show", self.device.name).split(":")[0])
        self.uapi = self.connect()
        self._ask = self.netlink()
        paths = [Path(254, 12, 0, (NextHop(self.ifindex, gateway),)) for gateway in self.gateways]
        self._templates = [RouteTemplate(AF_INET, path) for path in paths]

    # sockets

    def connect(self) -> socket.socket:
        """A connection to wireguard-go."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(SOCKETS / f"{self.device.name}.sock"))
        return connection

    def netlink(self, *groups: int) -> socket.socket:
        """A netlink socket in the namespace that hears these groups."""
        with self.namespace.enter():
            opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        return opened

    # routes

    def message(self, number: int, peer: int, flags: int = REPLACE) -> bytes:
        """RTM_NEWROUTE for a prefix through a peer, to `send`; from now on the peer is expected to hold it."""
        prefix = Prefix((0x0A000000 + (number << 8)) << 8 | 24)
        self.expected[prefix] = self.keys[peer % len(self.keys)]
        payload = self._templates[peer % len(self.keys)].payload(prefix)
        flags |= nl.NLM_F_REQUEST
        return nl.HEADER.pack(nl.HEADER.size + len(payload), rtroute.RTM_NEWROUTE, flags, 1, 0) + payload

    def send(self, message: bytes) -> None:
        """Hand a message to the kernel, which acts on it, and tells listeners, before this returns."""
        self._ask.send(message)

    def load(self, count: int) -> None:
        """Routes to the first `count` prefixes, spread over the peers. Raises OSError for one that is refused."""
        for start in range(0, count, BATCH):
            self.send(b"".join(self.message(number, number) for number in range(start, min(start + BATCH, count))))
        self._raise_refused()

    def _raise_refused(self) -> None:
        """An error is answered even where no acknowledgement was asked for."""
        self._ask.setblocking(False)
        try:
            answer = nl.acknowledgement(self._ask.recv(4096)[nl.HEADER.size :], 0)
        except BlockingIOError:
            return
        finally:
            self._ask.setblocking(True)
        raise OSError(answer.errno, f"the kernel refused a route: {errno.errorcode.get(answer.errno, '')}")

    # AllowedIPs

    def clear(self) -> None:
        """All peers, without a prefix."""
        blocks = (f"public_key={key.hex()}\nreplace_allowed_ips=true\n" for key in self.keys)
        self.set("set=1\nreplace_peers=true\n" + "".join(blocks) + "\n")

    def set(self, request: str) -> None:
        """One request to wireguard-go. Raises OSError if it is refused."""
        self.uapi.sendall(request.encode())
        answer = self._answer()
        if answer != b"errno=0\n\n":
            raise OSError(f"wireguard-go refused: {answer.decode().strip()}")

    def _answer(self) -> bytes:
        answer = b""
        while not answer.endswith(b"\n\n"):
            part = self.uapi.recv(1 << 20)
            if not part:
                raise ConnectionError("wireguard-go closed the connection")
            answer += part
        return answer

    def held(self) -> dict[Prefix, PublicKey]:
        """Who holds which IPv4 prefix."""
        self.uapi.sendall(b"get=1\n\n")
        return dict(_held(self._answer().decode().splitlines()))

    def check(self, who: str) -> None:
        """Raises WrongEndError unless all is as expected."""
        held = self.held()
        if held == self.expected:
            return
        wrong = sorted(
            prefix for prefix in held.keys() | self.expected.keys() if held.get(prefix) != self.expected.get(prefix)
        )
        raise WrongEndError(f"{who}: {len(wrong)} AllowedIPs are wrong in the end, the first is {px.text(wrong[0])}")


def _held(lines: Iterable[str]) -> Iterable[tuple[Prefix, PublicKey]]:
    key = PublicKey(bytes(32))
    for line in lines:
        name, _, value = line.partition("=")
        if name == "public_key":
            key = PublicKey(bytes.fromhex(value))
        elif name == "allowed_ip" and ":" not in value:
            yield px.parse(value), key
