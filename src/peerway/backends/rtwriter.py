"""Adds and deletes routes, from one to millions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from peerway.backends import netlinkbatch
from peerway.backends.netlink import NetlinkSocket
from peerway.backends.netlinkbatch import Request
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.ports import Refusal
from peerway.model.prefix import Prefix
from peerway.model.route import RouteGroup
from peerway.protocols.rtpack import packed
from peerway.protocols.rtrequest import RouteTemplate

_MANY: Final = 32  # from so many prefixes of one path on, columns are cheaper than objects
_PENDING: Final = 1024  # single requests that are collected before they are sent


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
        self.refusals.append(Refusal(prefix, number, f"{self._doing} the route {px.text(prefix)}: {words}"))
