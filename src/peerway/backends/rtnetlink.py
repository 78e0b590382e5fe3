"""The kernel's links, addresses, nexthop objects and routes (rtnetlink(7)): what the engine knows as RoutingTable.

Two sockets: one that hears, with a large receive buffer, and one that asks. Both belong to the network namespace of
the thread that makes them.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from peerway.backends.netlink import NETLINK_ROUTE, NetlinkError, NetlinkSocket, Request
from peerway.model import prefix as px
from peerway.model.link import Address, Link
from peerway.model.ports import Change, Gap, Refusal
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import RT_TABLE_LOCAL, RTN_UNICAST, NexthopObject, Path, RouteChange
from peerway.protocols import netlink as nl
from peerway.protocols import rtlink, rtnexthop, rtrequest, rtroute
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtdecoder import RouteCollector, RouteDecoder
from peerway.protocols.rtrequest import RouteTemplate

GROUPS: Final = (1, 5, 7, 9, 11)  # RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE
RTNLGRP_NEXTHOP: Final = 32
RECEIVE_BUFFER: Final = 256 << 20
"""Bytes of notifications that may wait: about 640,000 route changes. Memory is taken only while they wait."""
READ_LIMIT: Final = 1 << 16
"""Notifications in one reading, so that a stream without end does not keep us from acting on it."""
DUMP_TRIES: Final = 4

_ROUTES: Final = (rtroute.RTM_NEWROUTE, rtroute.RTM_DELROUTE)
_GONE: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})
_OWN_TYPES: Final = frozenset({2, 3, 4, 5})  # local, broadcast, anycast, multicast: made with addresses
_UNREACHABLE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENONET, errno.EACCES, errno.EINVAL, errno.ENETDOWN, errno.ESRCH}
)


class Rtnetlink:
    """
    A RoutingTable (model/ports.py). Raises OSError if the sockets cannot be opened. Not for several threads at once.
    """

    def __init__(self, *, receive_buffer: int = RECEIVE_BUFFER) -> None:
        """
        Open both sockets; notifications wait from now on. `receive_buffer` in bytes, as far as the kernel gives it.
        """
        self._decoder = RouteDecoder()
        with contextlib.ExitStack() as stack:
            self._hear = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
            self._ask = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
            self._hear.set_receive_buffer(receive_buffer)
            for group in GROUPS:
                self._hear.join(group)
            with contextlib.suppress(OSError):  # Linux before 5.3 has no nexthop objects
                self._hear.join(RTNLGRP_NEXTHOP)
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """
        Close both sockets.
        """
        self._hear.close()
        self._ask.close()

    def fileno(self) -> int:
        """
        The descriptor that is readable while notifications wait.
        """
        return self._hear.fileno()

    def read_changes(self) -> list[Change | Gap]:
        """
        The notifications that wait, in the kernel's order, at most READ_LIMIT datagrams; never blocks. The kernel's
        own routes (table local, and types local, broadcast, anycast and multicast) are left out, unless such a one
        took another route's place.

        After a loss the list ends with a Gap, and all that waited is thrown away: a dump made after this call shows
        it, and until all was read the kernel would tell of no further loss. One that cannot be read is a Gap too.
        """
        changes: list[Change | Gap] = []
        for _ in range(READ_LIMIT):
            try:
                datagram = self._hear.receive_waiting()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._throw_away()
                changes.append(Gap("the kernel dropped notifications, because the receive buffer was full"))
                break
            if datagram is None:
                break
            try:
                length, kind, flags = nl.START.unpack_from(datagram) if len(datagram) > nl.START.size else (0, 0, 0)
                if length == len(datagram) and kind in _ROUTES:  # one route alone: the usual case by far, made quick
                    change = self._route(kind, flags, datagram[nl.HEADER.size :])
                    if change is not None:
                        changes.append(change)
                else:
                    self._read_datagram(datagram, changes)
            except RemoteProtocolError as error:
                changes.append(Gap(f"a notification could not be read: {error}"))
        return changes

    def _throw_away(self) -> None:
        while True:
            try:
                if self._hear.receive_waiting() is None:
                    return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _read_datagram(self, datagram: bytes, changes: list[Change | Gap]) -> None:
        for kind, flags, _, _, payload in nl.messages(datagram):
            change: Change | None
            match kind:
                case rtroute.RTM_NEWROUTE | rtroute.RTM_DELROUTE:
                    change = self._route(kind, flags, bytes(payload))
                case rtlink.RTM_NEWLINK | rtlink.RTM_DELLINK:
                    change = rtlink.parse_link(kind, payload)
                case rtlink.RTM_NEWADDR | rtlink.RTM_DELADDR:
                    change = rtlink.parse_address(kind, payload)
                case rtnexthop.RTM_NEWNEXTHOP | rtnexthop.RTM_DELNEXTHOP:
                    change = rtnexthop.parse_nexthop(kind, payload)
                case _:
                    continue
            if change is not None:
                changes.append(change)

    def _route(self, kind: int, flags: int, payload: bytes) -> RouteChange | None:
        # Dropped before they are decoded: the kernel's own routes. A payload too short for this is the decoder's.
        if len(payload) >= rtroute.RTMSG.size and (
            payload[4] == RT_TABLE_LOCAL
            or (payload[7] in _OWN_TYPES and (kind == rtroute.RTM_DELROUTE or not flags & nl.NLM_F_REPLACE))
        ):
            return None
        return self._decoder.change(kind, flags, payload)

    def links(self) -> dict[int, Link]:
        """
        All links, by index.
        """
        found: dict[int, Link] = {}
        for kind, payload in self._dump(rtlink.RTM_GETLINK, rtrequest.dump_links(), "reading the links"):
            change = rtlink.parse_link(kind, payload)
            if change is not None and change.link is not None:
                found[change.ifindex] = change.link
        return found

    def addresses(self) -> list[Address]:
        """
        All IPv4 and IPv6 addresses.
        """
        messages = self._dump(rtlink.RTM_GETADDR, rtrequest.dump_addresses(), "reading the addresses")
        changes = (rtlink.parse_address(kind, payload) for kind, payload in messages)
        return [change.address for change in changes if change is not None]

    def nexthops(self) -> dict[int, NexthopObject]:
        """
        All nexthop objects, by id; empty on a kernel without them.
        """
        try:
            messages = self._dump(rtnexthop.RTM_GETNEXTHOP, rtrequest.dump_nexthops(), "reading the nexthop objects")
        except NetlinkError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                return {}
            raise
        changes = (rtnexthop.parse_nexthop(kind, payload) for kind, payload in messages)
        return {change.id: change.object for change in changes if change.object is not None}

    def _dump(self, kind: int, payload: bytes, doing: str) -> list[tuple[int, memoryview]]:
        messages: list[tuple[int, memoryview]] = []
        for _ in range(DUMP_TRIES):
            dump = self._ask.dump(kind, payload, doing=doing)
            messages = list(dump)
            if not dump.interrupted:
                break
        return messages

    def routes(self, keep: Callable[[Path], bool]) -> dict[Prefix, Path | tuple[Path, ...]]:
        """
        The routes of all tables whose path passes `keep` (which must answer the same for equal paths). A dump that
        changes interrupt is made again, a few times; then it is taken as it is, and the notifications of these
        changes, which wait, complete it.
        """
        routes = self._routes(AF_INET, keep)
        routes |= self._routes(AF_INET6, keep)
        return routes

    def _routes(self, family: int, keep: Callable[[Path], bool]) -> dict[Prefix, Path | tuple[Path, ...]]:
        routes: dict[Prefix, Path | tuple[Path, ...]] = {}
        for _ in range(DUMP_TRIES):
            dump = self._ask.dump(rtroute.RTM_GETROUTE, rtrequest.dump_routes(family), doing="reading the routes")
            collector = RouteCollector(self._decoder, keep)
            for datagram in dump.datagrams():
                for message in collector.feed(datagram):
                    dump.note(message)
            routes = collector.routes
            if not dump.interrupted:
                break
        return routes

    def lookup(self, address: Prefix) -> tuple[Prefix, Path] | None:
        """
        The route that the kernel uses for this destination; None if it is unreachable, or is reached by no unicast
        route. Raises NetlinkError.
        """
        doing = f"looking up the route to {px.address_text(address)}"
        try:
            replies = self._ask.request(rtroute.RTM_GETROUTE, 0, rtrequest.lookup(address), doing=doing)
        except NetlinkError as error:
            if error.errno in _UNREACHABLE:
                return None
            raise
        for reply in replies:
            read = self._decoder.route(bytes(reply.payload)) if reply.type == rtroute.RTM_NEWROUTE else None
            if read is not None and read[1].type == RTN_UNICAST:
                return read
        return None

    def add_routes(self, routes: Sequence[tuple[Prefix, Path]], *, append: bool = False) -> list[Refusal]:
        """
        Add routes, each on its own: one that is refused does not stop the others. One that stands already is
        refused (EEXIST) unless `append`. Raises OSError if the socket fails.
        """
        flags = nl.NLM_F_CREATE | (nl.NLM_F_APPEND if append else nl.NLM_F_EXCL)
        return self._change(rtroute.RTM_NEWROUTE, flags, routes, "adding")

    def delete_routes(self, routes: Sequence[tuple[Prefix, Path]]) -> list[Refusal]:
        """
        Delete exactly these routes; one that is missing is fine. Raises OSError if the socket fails.
        """
        refusals = self._change(rtroute.RTM_DELROUTE, 0, routes, "deleting")
        real = [refusal for refusal in refusals if refusal.errno not in _GONE]
        if not any(refusal.errno == errno.EINVAL for refusal in real):
            return real
        # The kernel says EINVAL for a nexthop object that is gone; its routes went with it.
        left = self.nexthops()
        gone = {prefix for prefix, path in routes if path.nexthop_id and path.nexthop_id not in left}
        return [refusal for refusal in real if refusal.errno != errno.EINVAL or refusal.prefix not in gone]

    def _change(self, kind: int, flags: int, routes: Sequence[tuple[Prefix, Path]], doing: str) -> list[Refusal]:
        # Templates are found by the identity of the path, which `routes` keeps alive: hashing a path costs more.
        templates: dict[tuple[int, bool], RouteTemplate] = {}
        requests: list[Request] = []
        for prefix, path in routes:
            name = id(path), prefix >= px.V6
            template = templates.get(name)
            if template is None:
                exact = kind == rtroute.RTM_DELROUTE
                template = templates[name] = RouteTemplate(px.family(prefix), path, exact=exact)
            requests.append((kind, flags, template.payload(prefix)))
        return [
            Refusal(prefix, error.errno or 0, f"{doing} the route {px.text(prefix)}: {error.strerror}")
            for (prefix, _), error in zip(routes, self._ask.batch(requests), strict=True)
            if error is not None
        ]

    def add_address(self, address: Address) -> None:
        """
        Assign an address; one that is there is fine. Raises NetlinkError.
        """
        flags = nl.NLM_F_CREATE | nl.NLM_F_EXCL
        self._request(rtlink.RTM_NEWADDR, flags, rtrequest.address(address), _naming("adding", address), errno.EEXIST)

    def delete_address(self, address: Address) -> None:
        """
        Take an address away; a missing one, or a missing link, is fine. Raises NetlinkError.
        """
        fine = errno.EADDRNOTAVAIL, errno.ENODEV
        self._request(rtlink.RTM_DELADDR, 0, rtrequest.address(address), _naming("deleting", address), *fine)

    def stop_kernel_link_local(self, ifindex: int) -> None:
        """
        Set addr_gen_mode none. A link without IPv6 makes no address anyway. Raises NetlinkError.
        """
        doing = f"setting addr_gen_mode none on link {ifindex}"
        payload = rtrequest.no_kernel_link_local(ifindex)
        self._request(rtlink.RTM_NEWLINK, 0, payload, doing, errno.EAFNOSUPPORT)

    def _request(self, kind: int, flags: int, payload: bytes, doing: str, *fine: int) -> None:
        try:
            self._ask.request(kind, flags, payload, doing=doing)
        except NetlinkError as error:
            if error.errno not in fine:
                raise


def _naming(verb: str, address: Address) -> str:
    return f"{verb} the address {px.address_text(address.address)}/{address.length} on link {address.ifindex}"
