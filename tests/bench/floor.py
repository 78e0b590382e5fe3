"""The floor: the least that a Python program must do to carry routes into AllowedIPs. It knows no rule.

No metric, no table, no protocol, no second route, no loss, no restart, nobody else's AllowedIPs: only the offsets at
which this kernel writes a route by RTA_VIA, and which gateway is whose.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from peerway.model import prefix as px
from peerway.protocols import netlink as nl
from peerway.protocols import rtrequest, rtroute
from tests.bench.place import RTNLGRP_IPV4_ROUTE, Place
from tests.bench.stamps import Stamps

LENGTH: Final = 17  # of the destination, in a message with its header
ADDRESS: Final = slice(40, 44)  # RTA_DST, after RTA_TABLE
GATEWAY: Final = slice(50, 66)  # in RTA_VIA, after its family


class Floor:
    """
    Both loops, over sockets of their own.
    """

    def __init__(self, place: Place) -> None:
        self._hear = place.netlink(RTNLGRP_IPV4_ROUTE)
        self._ask = place.netlink()
        self._uapi = place.connect()
        self._keys = {px.packed(gateway): key.hex() for gateway, key in zip(place.gateways, place.keys, strict=True)}

    def close(self) -> None:
        """Close the sockets."""
        for opened in (self._hear, self._ask, self._uapi):
            opened.close()

    def change(self) -> int:
        """Receive one notification, write one request, read the reply. Returns the address."""
        told = self._hear.recv(4096)
        a, b, c, d = told[ADDRESS]
        key = self._keys[told[GATEWAY]]
        self._uapi.sendall(
            f"set=1\npublic_key={key}\nupdate_only=true\nallowed_ip={a}.{b}.{c}.{d}/{told[LENGTH]}\n\n".encode()
        )
        self._uapi.recv(64)
        return a << 24 | b << 16 | c << 8 | d

    def sync(self) -> None:
        """Dump the IPv4 routes, write one request, read the reply."""
        payload = rtrequest.dump_routes(px.AF_INET)
        flags = nl.NLM_F_REQUEST | nl.NLM_F_DUMP
        self._ask.send(nl.HEADER.pack(nl.HEADER.size + len(payload), rtroute.RTM_GETROUTE, flags, 1, 0) + payload)
        lines: dict[bytes, list[str]] = {gateway: [] for gateway in self._keys}
        done = False
        while not done:
            told, at = self._ask.recv(1 << 20), 0
            while at < len(told) and not done:
                size, kind = (
                    int.from_bytes(told[at : at + 4], nl.ORDER),
                    int.from_bytes(told[at + 4 : at + 6], nl.ORDER),
                )
                block = lines.get(told[at + 50 : at + 66])
                if block is not None:
                    a, b, c, d = told[at + 40 : at + 44]
                    block.append(f"allowed_ip={a}.{b}.{c}.{d}/{told[at + LENGTH]}\n")
                done = kind == nl.NLMSG_DONE
                at += nl.aligned(size)
        blocks = (
            f"public_key={self._keys[gateway]}\nupdate_only=true\n{''.join(block)}" for gateway, block in lines.items()
        )
        self._uapi.sendall(f"set=1\n{''.join(blocks)}\n".encode())
        self._uapi.recv(64)

    @contextmanager
    def in_own_process(self, stamps: Stamps) -> Iterator[None]:
        """The loop of changes in a process of its own, which has to be woken for each, as a daemon has."""
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    stamps.send(1, self.change())
            finally:
                os._exit(1)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
