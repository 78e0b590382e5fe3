"""Adds and deletes routes, from one to millions.

Many go through sockets of their own, so that a thread may send them while others ask. One of these adds what need not
be heard again (model/unheard.py): whoever hears has a filter that drops what comes from its port id.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Collection, Sequence
from typing import Final

from peerway.backends import netlinkbatch
from peerway.backends.netlink import NETLINK_ROUTE, NetlinkSocket
from peerway.backends.netlinkbatch import Request
from peerway.model import columns as cl
from peerway.model.ports import BULK, Refusal
from peerway.model.prefix import Prefix
from peerway.model.route import RouteGroup
from peerway.model.unheard import Unheard, is_plain
from peerway.protocols import netlink as nl
from peerway.protocols import rtroute
from peerway.protocols.rtpack import packed
from peerway.protocols.rtrequest import RouteTemplate

_MANY: Final = 32  # from so many prefixes of one path on, columns are cheaper than objects
_PENDING: Final = 1024  # single requests that are collected before they are sent
_GONE: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})


class RouteHands:
    """
    The sockets through which routes are changed. Raises OSError if they cannot be opened.
    """

    def __init__(self, ask: NetlinkSocket) -> None:
        """
        `ask` is for few routes, and remains the caller's.
        """
        self.unheard = Unheard()
        self._ask = ask
        with contextlib.ExitStack() as stack:
            self._many = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
            self._silent = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
            stack.pop_all()

    @property
    def port(self) -> int:
        """
        The port id whose new routes need not be heard.
        """
        return self._silent.port

    def close(self) -> None:
        """
        Close its own sockets.
        """
        self._many.close()
        self._silent.close()

    def socket(self, routes: Sequence[RouteGroup]) -> NetlinkSocket:
        """
        The socket for so many routes.
        """
        return self._ask if sum(len(column) for _, column in routes) < BULK else self._many

    def add(self, routes: Sequence[RouteGroup], *, append: bool) -> list[Refusal]:
        """
        Add routes. Raises OSError if a socket fails.
        """
        sock = self.socket(routes)
        flags = nl.NLM_F_CREATE | (nl.NLM_F_APPEND if append else nl.NLM_F_EXCL)
        if append or sock is self._ask or not all(is_plain(path, cl.family(column)) for path, column in routes):
            return RouteWriter(sock, rtroute.RTM_NEWROUTE, flags, "adding").write(routes, exact=False)
        work = self.unheard.begin(routes)
        writer = RouteWriter(self._silent, rtroute.RTM_NEWROUTE, flags, "adding")
        try:
            refusals = writer.write(routes, exact=False)
        except BaseException:
            self.unheard.abandon(work)
            raise
        self.unheard.end(work, {refusal.prefix for refusal in refusals})
        return refusals

    def delete(self, routes: Sequence[RouteGroup]) -> list[Refusal]:
        """
        Delete exactly these routes; one that is missing is fine. Raises OSError if a socket fails.
        """
        return RouteWriter(self.socket(routes), rtroute.RTM_DELROUTE, 0, "deleting", _GONE).write(routes, exact=True)


class RouteWriter:
    """
    Sends route requests of one type, in order, and collects what the kernel refuses.
    """

    def __init__(self, sock: NetlinkSocket, kind: int, flags: int, doing: str, fine: Collection[int] = ()) -> None:
        """
        `doing` is the word for a refusal's sentence, `fine` holds the error numbers that are none.
        """
        self._sock, self._kind, self._flags, self._doing, self._fine = sock, kind, flags, doing, fine
        self._prefixes: list[Prefix] = []
        self._requests: list[Request] = []
        self.refusals: list[Refusal] = []

    def write(self, routes: Sequence[RouteGroup], *, exact: bool) -> list[Refusal]:
        """
        Send all. `exact` as in RouteTemplate. Raises OSError if the socket fails.
        """
        # Templates are found by the identity of the path, which `routes` keeps alive: hashing a path costs more.
        templates: dict[tuple[int, int], RouteTemplate] = {}
        for path, column in routes:
            name = id(path), cl.family(column)
            template = templates.get(name)
            if template is None:
                template = templates[name] = RouteTemplate(name[1], path, exact=exact)
            if len(column) < _MANY:
                prefixes = cl.prefixes(column)
                self._prefixes += prefixes
                for prefix in prefixes:
                    self._requests.append((self._kind, self._flags, template.payload(prefix)))
                if len(self._requests) >= _PENDING:
                    self._send()
            else:
                self._send()
                limit = netlinkbatch.limit(self._sock)
                for rows, part in packed(template, self._kind, self._flags, column, limit):
                    refused = netlinkbatch.send_rows(self._sock, rows, fine=self._fine)
                    for place, prefix in zip(refused, cl.prefixes(part[[*refused]]) if refused else (), strict=True):
                        self._refuse(prefix, *refused[place])
        self._send()
        return self.refusals

    def _send(self) -> None:
        if self._requests:
            for place, refused in netlinkbatch.send(self._sock, self._requests, fine=self._fine).items():
                self._refuse(self._prefixes[place], *refused)
            self._requests.clear()
            self._prefixes.clear()

    def _refuse(self, prefix: Prefix, number: int, words: str) -> None:
        self.refusals.append(Refusal(prefix, number, f"{self._doing} it: {words}"))
