"""Record what a real kernel and a real wireguard-go say, as inputs for the targets: python -m tests.fuzz.record (root).

In a namespace of its own there are routes by each kind of next hop, nexthop objects, addresses and a WireGuard device.
"""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterator
from typing import Final

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import SOCKETS, WireGuard
from peerway.protocols import netlink as nl
from peerway.protocols import rtlink, rtnexthop, rtrequest, rtroute, sockdiag
from tests.fuzz import corpus, script

NETLINK_ROUTE: Final = 0
NETLINK_SOCK_DIAG: Final = 4
GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # links, addresses and routes of both families
RTNLGRP_NEXTHOP: Final = 32
SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
SCENE: Final = """
link add v0 type veth peer name v1
link set v0 up
link set v1 up
address add 10.9.0.1/24 dev v0
address add 2001:db8:9::1/64 dev v0
nexthop add id 7 via 10.9.0.7 dev v0
nexthop add id 8 via 2001:db8:9::8 dev v0
nexthop add id 9 via 10.9.0.9 dev v0
nexthop add id 70 group 7,2/9,5
nexthop add id 71 blackhole
route add 10.0.0.0/8 via 10.9.0.7 proto bird metric 32
route add default via 10.9.0.7 table 1000 proto static
route add 10.1.0.0/16 nexthop via 10.9.0.7 weight 3 nexthop via inet6 2001:db8:9::8 dev v0
route add 10.2.0.0/16 via inet6 2001:db8:9::8 dev v0
route add 10.3.0.0/16 nhid 70
route add blackhole 10.4.0.0/16
route add 2001:db8::/32 via 2001:db8:9::8 metric 5 proto bird
route add 2001:db8:1::/48 nexthop via 2001:db8:9::8 nexthop via 2001:db8:9::9
route add 2001:db8:2::/48 nhid 8
route add 2001:db8:3::/48 from 2001:db8:ff::/48 via 2001:db8:9::8
route append 10.0.0.0/8 via 10.9.0.9 proto bird metric 32
route replace 10.2.0.0/16 via 10.9.0.9 dev v0
route del 10.1.0.0/16
nexthop del id 9
link set v0 down
"""


def main() -> None:
    with Namespace("record") as namespace:
        wg = wireguard.create(namespace)
        _peers(wg)
        with namespace.enter(), _listening() as ear:
            namespace.batch(line for line in SCENE.strip().splitlines() if "del" not in line and "down" not in line)
            _dumps()
            namespace.batch(line for line in SCENE.strip().splitlines() if "del" in line or "down" in line)
            _notifications(list(_waiting(ear)))
        if wg.userspace:
            corpus.keep(corpus.CORPUS / "uapi", _uapi(wg), "recorded")


def _peers(wg: WireGuard) -> None:
    for number in range(3):
        key = wireguard.public_key_of(wireguard.new_private_key())
        nets = [f"10.{number}.{net}.0/24" for net in range(8 * number)] + [f"2001:db8:{number}::/48"]
        wg.set_peer(key, endpoint="192.0.2.1:51820", allowed_ips=nets, keepalive=25 * number)


def _listening() -> socket.socket:
    ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_ROUTE)
    ear.bind((0, GROUPS))
    ear.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NEXTHOP)
    return ear


def _waiting(ear: socket.socket) -> Iterator[bytes]:
    try:
        while True:
            yield ear.recv(1 << 16)
    except BlockingIOError:
        return


def _dumps() -> None:
    routes = [*_dump(rtroute.RTM_GETROUTE, rtrequest.dump_routes(socket.AF_INET))]
    routes += _dump(rtroute.RTM_GETROUTE, rtrequest.dump_routes(socket.AF_INET6))
    for name in ("rtdump", "nlstream", "rtchanges"):
        corpus.keep(corpus.CORPUS / name, script.raw(routes), "recorded")
    corpus.keep(corpus.CORPUS / "netlink", routes[0], "recorded")
    _payloads("rtroute", routes, packed=True)
    _payloads("rtlink", [*_dump(rtlink.RTM_GETLINK, rtrequest.dump_links())])
    _payloads("rtlink", [*_dump(rtlink.RTM_GETADDR, rtrequest.dump_addresses())])
    _payloads("rtnexthop", [*_dump(rtnexthop.RTM_GETNEXTHOP, rtrequest.dump_nexthops())])
    _payloads("sockdiag", [*_dump(sockdiag.SOCK_DIAG_BY_FAMILY, sockdiag.listeners_request(), NETLINK_SOCK_DIAG)])


def _dump(kind: int, payload: bytes, protocol: int = NETLINK_ROUTE) -> Iterator[bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as mouth:
        mouth.send(nl.message(kind, nl.NLM_F_REQUEST | nl.NLM_F_DUMP, 1, payload))
        while True:
            datagram = mouth.recv(1 << 16)
            yield datagram
            if any(message.type in (nl.NLMSG_DONE, nl.NLMSG_ERROR) for message in nl.messages(datagram)):
                return


def _payloads(name: str, datagrams: list[bytes], *, packed: bool = False) -> None:
    """Each kind of message once: those that differ in length, or in their attributes."""
    found: dict[object, bytes] = {}
    for message in itertools.chain.from_iterable(map(nl.messages, datagrams)):
        if message.type >= nl.NLMSG_MIN_TYPE:
            found.setdefault(len(message.payload), bytes(message.payload))
    for payload in found.values():
        corpus.keep(corpus.CORPUS / name, script.raw([payload]) if packed else payload, "recorded")


def _notifications(datagrams: list[bytes]) -> None:
    corpus.keep(corpus.CORPUS / "rtchanges", script.raw(datagrams), "recorded")


def _uapi(wg: WireGuard) -> bytes:
    with socket.socket(socket.AF_UNIX) as mouth:
        mouth.connect(str(SOCKETS / f"{wg.name}.sock"))
        mouth.sendall(b"get=1\n\n")
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += mouth.recv(1 << 16)
        return re.sub(rb"(?<=private_key=)[0-9a-f]+", b"5e" * 32, answer)


if __name__ == "__main__":
    main()
