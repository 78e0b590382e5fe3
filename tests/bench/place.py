"""Where benches happen: a namespace with one WireGuard device, peers without endpoints, and routes to them.

Everything here goes through the C programs and a socket of its own, not through peerway, so that a mistake there cannot
hide itself.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from peerway.lab import netns, wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import SOCKETS
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import AF_INET, AF_INET6
from tests.bench import floors, table
from tests.bench.table import Flat

LINK_LOCAL: Final = px.parse("fe80::/64")
RTPROT_STATIC: Final = 4
RTM_NEWROUTE: Final = 24
RTM_NEWNEXTHOP: Final = 104
NHA_ID, NHA_OIF, NHA_GATEWAY = 1, 5, 6
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_VIA = 1, 4, 5, 18
REPLACE: Final = 0x501  # NLM_F_REQUEST, NLM_F_REPLACE, NLM_F_CREATE
NLMSGHDR: Final = struct.Struct("=IHHII")
RTMSG: Final = struct.Struct("=8BI")
NHMSG: Final = struct.Struct("=4BI")
MEMORY: Final = Path("/dev/shm")


class WrongEndError(AssertionError):
    """
    The AllowedIPs at the end are not those that the routes name.
    """


class Place:
    """
    The namespace with its device, the kernel's or wireguard-go's. `expected` is who should hold which prefix, by the
    routes that were sent.
    """

    def __init__(self, peers: int, *, kernel: bool = False) -> None:
        self.kernel = kernel
        self.keys = [PublicKey(hashlib.sha256(str(number).encode()).digest()) for number in range(peers)]
        self.gateways = [derived_address(LINK_LOCAL, key) for key in self.keys]
        self.expected = np.zeros(0, table.FLAT)
        self.namespace = Namespace("bench")
        self._home = tempfile.TemporaryDirectory(prefix="peerway-bench-", dir=MEMORY if MEMORY.is_dir() else None)
        self.home = Path(self._home.name)
        self.peers_file = self.home / "peers"
        self._files = 0

    def __enter__(self) -> Self:
        self.namespace.create()
        try:
            self._furnish()
        except BaseException:
            self.namespace.delete()
            self._home.cleanup()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.namespace.delete()
        self._ask.close()
        self._home.cleanup()

    def _furnish(self) -> None:
        self._programs = floors.programs()
        pairs = zip(self.keys, self.gateways, strict=True)
        self.peers_file.write_bytes(b"".join(bytes(key) + px.packed(gateway) for key, gateway in pairs))
        self.device = wireguard.create(self.namespace, userspace=not self.kernel)
        self.ifindex = int(self.namespace.ip("-o", "link", "show", self.device.name).split(":")[0])
        name = self.device.name
        self.spoken = name if self.kernel else str(SOCKETS / f"{name}.sock")
        """The device, as the C programs take it."""
        if self.kernel:  # it gets none by itself, and BIRD takes no gateway of a link without one
            own = derived_address(LINK_LOCAL, PublicKey.parse(self.device.public_key))
            self.namespace.ip("address", "add", f"{px.address_text(own)}/64", "dev", name)
        with self.namespace.enter():
            self._ask = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)

    def server(self) -> int:
        """The process id of wireguard-go. Raises ProcessLookupError where there is none."""
        wanted = str(self.device.name).encode()
        for pid in netns.members(self.namespace.name):
            if wanted in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        raise ProcessLookupError("no wireguard-go here")

    # programs

    def program(self, name: str) -> str:
        """The path of a C program."""
        return str(self._programs / name)

    def file(self, flat: Flat) -> str:
        """The path of a new flat file with these records."""
        self._files += 1
        return str(table.save(flat, self.home / f"flat{self._files}"))

    def timed(self, name: str, *words: str) -> tuple[int, int]:
        """Run a C program that prints when it began and ended, in ns."""
        begin, end = self.namespace.run(self.program(name), *words).split()
        return int(begin), int(end)

    # routes

    def load(
        self, flat: Flat, what: str = "add", *, protocol: int = RTPROT_STATIC, nexthop: int = 0
    ) -> tuple[int, int]:
        """
        Add, replace or delete routes with the C loader, and expect them. Returns when it began and ended, in ns.
        """
        words = self.load_words(flat, what, protocol=protocol, nexthop=nexthop)
        times = self.timed(*words)
        Path(words[4]).unlink()
        return times

    def load_words(self, flat: Flat, what: str, *, protocol: int = RTPROT_STATIC, nexthop: int = 0) -> tuple[str, ...]:
        """
        The same as the words of a command.
        """
        return "load", what, str(self.ifindex), str(self.peers_file), self.file(flat), str(protocol), str(nexthop)

    def message(self, record: Any) -> bytes:
        """RTM_NEWROUTE with NLM_F_REPLACE for one record, to `send`."""
        four = record["family"] == AF_INET
        via = px.packed(self.gateways[record["peer"]])
        parts = (
            (RTA_DST, record["address"].tobytes()[: 4 if four else 16]),
            (RTA_OIF, struct.pack("=I", self.ifindex)),
            (RTA_VIA, struct.pack("=H", AF_INET6) + via) if four else (RTA_GATEWAY, via),
        )
        head = RTMSG.pack(record["family"], record["length"], 0, 0, 254, RTPROT_STATIC, 0, 1, 0)
        return _message(RTM_NEWROUTE, head, parts)

    def object_message(self, number: int, peer: int) -> bytes:
        """RTM_NEWNEXTHOP with NLM_F_REPLACE: the object `number` leads to a peer, to `send`."""
        index, gateway = struct.pack("=I", number), px.packed(self.gateways[peer])
        parts = ((NHA_ID, index), (NHA_OIF, struct.pack("=I", self.ifindex)), (NHA_GATEWAY, gateway))
        return _message(RTM_NEWNEXTHOP, NHMSG.pack(AF_INET6, 0, RTPROT_STATIC, 0, 0), parts)

    def send(self, message: bytes) -> None:
        """Hand a message to the kernel, which acts on it, and tells listeners, before this returns."""
        self._ask.send(message)

    def routes(self) -> Flat:
        """The routes through the device, as the kernel tells them."""
        path = self.home / "routes-now"
        self.namespace.run(self.program("routes"), str(self.ifindex), str(self.peers_file), str(path))
        return table.read(path)

    # AllowedIPs

    def clear(self) -> None:
        """All peers, without a prefix."""
        self.namespace.run(self.program("clear"), self.spoken, str(self.peers_file))

    def give(self, flat: Flat) -> tuple[int, int]:
        """Set AllowedIPs with the C program, peer by peer and by address. Returns when it began and ended, in ns."""
        ordered = table.in_order(flat)
        path = self.file(ordered[np.argsort(ordered["peer"], kind="stable")])
        times = self.timed("set", self.spoken, str(self.peers_file), path)
        Path(path).unlink()
        return times

    def held(self) -> Flat:
        """Who holds which prefix; peers' own link-local addresses are left out."""
        path = self.home / "held-now"
        self.namespace.run(self.program("held"), self.spoken, str(self.peers_file), str(path))
        found = table.read(path)
        others: Flat = found[found["address"][:, 0] != 0xFE]
        return others

    def wrong(self) -> Flat:
        """What is held and should not be, or should be and is not."""
        return difference(self.held(), self.expected)

    def check(self, who: str) -> None:
        """Raises WrongEndError unless all is as expected."""
        refuse(who, self.wrong(), "AllowedIPs")


def _message(kind: int, head: bytes, parts: Iterable[tuple[int, bytes]]) -> bytes:
    attributes = (
        struct.pack("=HH", 4 + len(data), name) + data.ljust(-len(data) % 4 + len(data), b"\0") for name, data in parts
    )
    body = head + b"".join(attributes)
    return NLMSGHDR.pack(NLMSGHDR.size + len(body), kind, REPLACE, 0, 0) + body


def difference(left: Flat, right: Flat) -> Flat:
    """Records that only one of both has."""
    both = table.in_order(np.concatenate([left, right]))
    alone = np.ones(len(both), bool)
    twice = both[1:] == both[:-1]
    alone[1:] &= ~twice
    alone[:-1] &= ~twice
    found: Flat = both[alone]
    return found


def refuse(who: str, wrong: Flat, what: str) -> None:
    """Raises WrongEndError if there are wrong records."""
    if len(wrong):
        count = len(np.unique(table.names(wrong)))
        raise WrongEndError(f"{who}: {count} {what} are wrong in the end, the first is {table.text(wrong[0])}")
