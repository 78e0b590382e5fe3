"""The kernel's links, addresses, nexthop objects and routes (rtnetlink(7)): what the engine knows as RoutingTable.

One socket hears, with a large receive buffer, one asks, and those of rtwriter.py change many routes. All belong to the
network namespace of the thread that makes them, and the one that hears is made anew after a loss: read in the same
namespace.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from peerway.backends.inbox import Inbox
from peerway.backends.netlink import NETLINK_ROUTE, NetlinkError, NetlinkSocket
from peerway.backends.rtwriter import RouteHands
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.link import Address, Link
from peerway.model.ports import Change, Gap, Refusal
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import RTN_UNICAST, NexthopChange, NexthopObject, Path, RouteColumns, RouteGroup
from peerway.protocols import netlink as nl
from peerway.protocols import rtfilter, rtlink, rtnexthop, rtrequest, rtroute
from peerway.protocols.rtchanges import MANY, ChangeReader
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtdump import RouteCollector
from peerway.protocols.rtrows import RouteRows

GROUPS: Final = (1, 5, 7, 9, 11)  # RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE
RTNLGRP_NEXTHOP: Final = 32
RECEIVE_BUFFER: Final = 256 << 20
"""Bytes of notifications that may wait: about 640,000 route changes. Memory is taken only while they wait."""
READ_LIMIT: Final = 1 << 16
"""Notifications in one reading, so that a stream without end does not keep us from acting on it."""
READ_FIRST: Final = 64
"""Of these, what is looked at first: it may be worth acting on alone."""
DUMP_TRIES: Final = 4

_UNREACHABLE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENONET, errno.EACCES, errno.EINVAL, errno.ENETDOWN, errno.ESRCH}
)


class Rtnetlink:
    """
    A RoutingTable (model/ports.py). Raises OSError if the sockets cannot be opened. Not for several threads at once,
    but as it is said there.
    """

    def __init__(self, *, receive_buffer: int = RECEIVE_BUFFER) -> None:
        """
        Open both sockets; notifications wait from now on. `receive_buffer` in bytes, as far as the kernel gives it.
        """
        self._decoder = RouteDecoder()
        self._rows = RouteRows(self._decoder)
        self._changes = ChangeReader(self._decoder, self._rows)
        self._inbox = Inbox()
        self._listening: frozenset[int] = frozenset()
        self._receive_buffer = receive_buffer
        with contextlib.ExitStack() as stack:
            self._ask = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
            self._hands = stack.enter_context(contextlib.closing(RouteHands(self._ask)))
            self._hear = stack.enter_context(self._hearing())
            stack.pop_all()

    def _hearing(self) -> NetlinkSocket:
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
            sock.set_receive_buffer(self._receive_buffer)
            for group in GROUPS:
                sock.join(group)
            with contextlib.suppress(OSError):  # Linux before 5.3 has no nexthop objects
                sock.join(RTNLGRP_NEXTHOP)
            self._choose(sock)
            stack.pop_all()
        return sock

    def _choose(self, sock: NetlinkSocket) -> None:
        some = 0 < len(self._listening) <= rtfilter.MOST
        sock.filter(rtfilter.of(self._listening if some else (), self._hands.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """
        Close all sockets.
        """
        self._hear.close()
        self._hands.close()
        self._ask.close()

    def fileno(self) -> int:
        """
        The descriptor that is readable while notifications wait.
        """
        return self._hear.fileno()

    def listen_to(self, interfaces: Iterable[int]) -> None:
        """
        From now on hear nothing of routes that leave through other interfaces, as far as that is certain
        (protocols/rtfilter.py). None, or more than fit in a filter: everything is heard.

        The routes of an interface that was not listened to are unknown: dump them after this. Raises OSError.
        """
        chosen = frozenset(interfaces)
        if chosen != self._listening:
            self._listening = chosen
            self._choose(self._hear)

    def read_changes(self) -> list[Change | Gap]:
        """
        The notifications that wait, in the kernel's order, at most READ_LIMIT datagrams, and not many behind the change
        of a nexthop object; never blocks. The kernel's own routes (table local, and types local, broadcast, anycast and
        multicast) are left out, unless such a one took another route's place.

        After a loss the list ends with a Gap, and all that waited is thrown away with its socket: a dump made after
        this call shows it, and to read it would take long. So `fileno` is another one then. A notification that
        cannot be read is a Gap too.
        """
        changes: list[Change | Gap] = []
        unheard = self._hands.unheard
        own, settled = unheard.take()
        inbox, left, most, lost, empty = self._inbox, READ_LIMIT, READ_FIRST, False, False
        while left > 0 and not (lost or empty):
            inbox.clear()
            try:
                empty = self._hear.receive_many(inbox, min(left, most))
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
            left, most = left - len(inbox.sizes), READ_LIMIT
            if len(inbox.sizes) < MANY:
                some = self._changes.read_few(inbox.datagrams())
            else:
                some = self._changes.read(inbox.words, inbox.sizes)
            changes += some
            if any(isinstance(change, NexthopChange) for change in some):
                break  # each of its routes is told next, which is no news and takes long
        if lost:
            fresh = self._hearing()
            self._hear.close()
            self._hear = fresh
            changes.append(Gap("the kernel dropped notifications, because the receive buffer was full"))
        if unheard.disputed(changes):
            changes.append(Gap("somebody changed a route while we added one in its place", lost=False))
        if empty or lost:
            unheard.forget(settled)
        return [*(replace(one, paths=[*map(self._decoder.intern, one.paths)]) for one in own), *changes]

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
        return self._nexthops(self._ask)

    def _nexthops(self, sock: NetlinkSocket) -> dict[int, NexthopObject]:
        doing, request = "reading the nexthop objects", rtrequest.dump_nexthops()
        try:
            messages = self._dump(rtnexthop.RTM_GETNEXTHOP, request, doing, sock)
        except NetlinkError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                return {}
            raise
        changes = (rtnexthop.parse_nexthop(kind, payload) for kind, payload in messages)
        return {change.id: change.object for change in changes if change.object is not None}

    def _dump(
        self, kind: int, payload: bytes, doing: str, sock: NetlinkSocket | None = None
    ) -> list[tuple[int, memoryview]]:
        messages: list[tuple[int, memoryview]] = []
        for _ in range(DUMP_TRIES):
            dump = (sock or self._ask).dump(kind, payload, doing=doing)
            messages = list(dump)
            if not dump.interrupted:
                break
        return messages

    def routes(self, keep: Callable[[Path], bool]) -> list[RouteColumns]:
        """
        The routes of all tables whose path passes `keep` (which must answer the same for equal paths): one for each
        family that has any, in the kernel's order. A dump that changes interrupt is made again, a few times; then it
        is taken as it is, and the notifications of these changes, which wait, complete it.
        """
        return [columns for family in (AF_INET, AF_INET6) for columns in self._routes(family, keep)]

    def _routes(self, family: int, keep: Callable[[Path], bool]) -> list[RouteColumns]:
        columns: list[RouteColumns] = []
        for _ in range(DUMP_TRIES):
            dump = self._ask.dump(rtroute.RTM_GETROUTE, rtrequest.dump_routes(family), doing="reading the routes")
            collector = RouteCollector(self._rows, keep, dump.seq)
            for inbox in dump.fill(self._inbox):
                for message in collector.feed(inbox.words, inbox.sizes):
                    dump.note(message)
            columns = collector.columns()
            if not dump.interrupted:
                break
        return columns

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

    def add_routes(self, routes: Sequence[RouteGroup], *, append: bool = False) -> list[Refusal]:
        """
        Add routes, each on its own: one that is refused does not stop the others. One that stands already is
        refused (EEXIST) unless `append`. Raises OSError if the socket fails.
        """
        return self._hands.add(routes, append=append)

    def delete_routes(self, routes: Sequence[RouteGroup]) -> list[Refusal]:
        """
        Delete exactly these routes; one that is missing is fine. Raises OSError if the socket fails.
        """
        refusals = self._hands.delete(routes)
        if not any(refusal.errno == errno.EINVAL for refusal in refusals):
            return refusals
        # The kernel says EINVAL for a nexthop object that is gone; its routes went with it.
        left = self._nexthops(self._hands.socket(routes))
        gone = [column for path, column in routes if path.nexthop_id and path.nexthop_id not in left]
        missing = {prefix for column in gone for prefix in cl.each(column)}
        return [refusal for refusal in refusals if refusal.errno != errno.EINVAL or refusal.prefix not in missing]

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
