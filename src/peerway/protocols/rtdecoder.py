"""The quick reader of many routes.

Routes differ mostly in their prefix alone. So the bytes of a message without its prefix are a key, and under it lies
what the careful reader (rtroute.py) found the first time: an interned Path. The usual message then costs a few
slices and one look-up. That an attribute RTA_DST of full length stands second is part of the key, and only messages
that the careful reader found to be so are remembered; all others go the careful way each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, cast

from peerway.model.prefix import AF_INET, AF_INET6, V6, Prefix
from peerway.model.route import Path, RouteChange, RouteChangeKind
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtroute import RTM_DELROUTE, RTM_NEWROUTE, parse_route

KNOWN_LIMIT: Final = 1 << 16
"""How many keys are remembered, and how many paths: beyond it they are learned anew. Bounds what a route daemon that
never repeats a metric can make us hold."""

Found = tuple[Path, int, int]
"""Of one key: the path, the address bits that count, and the number of family and length."""

_DST: Final = {family: nl.ATTRIBUTE.pack(4 + size, 1) for family, size in ((AF_INET, 4), (AF_INET6, 16))}
# Sizes of payloads that can hold struct rtmsg, one attribute of eight bytes (RTA_TABLE), and RTA_DST.
_LEAST_V4: Final = 28
_LEAST_V6: Final = 40


class RouteDecoder:
    """
    Reads route messages. Equal paths that it gives are the same object (as long as no more than KNOWN_LIMIT
    different ones are in use), so that decisions can be kept by path.
    """

    def __init__(self) -> None:
        self.interned: dict[Path, Path] = {}
        self.known: dict[bytes, Found] = {}

    def intern(self, path: Path) -> Path:
        """
        The one object that stands for all paths equal to this one.
        """
        if len(self.interned) >= KNOWN_LIMIT:
            self.interned.clear()
            self.known.clear()
        return self.interned.setdefault(path, path)

    def route(self, payload: bytes) -> tuple[Prefix, Path] | None:
        """
        Read the payload of one message; None for what is in no table (parse_route). Raises RemoteProtocolError.
        """
        size = len(payload)
        if size >= _LEAST_V4 and payload[0] == AF_INET:
            key, address = payload[:24] + payload[28:], payload[24:28]
        elif size >= _LEAST_V6 and payload[0] == AF_INET6:
            key, address = payload[:24] + payload[40:], payload[24:40]
        else:
            return self._careful(payload, b"")
        found = self.known.get(key)
        if found is None:
            return self._careful(payload, key)
        path, mask, family_length = found
        return cast("Prefix", (int.from_bytes(address, "big") & mask) << 8 | family_length), path

    def change(self, kind: int, flags: int, payload: bytes) -> RouteChange | None:
        """
        Read one notification, RTM_NEWROUTE or RTM_DELROUTE with the flags of its header. Raises RemoteProtocolError.
        """
        read = self.route(payload)
        return None if read is None else RouteChange(change_kind(kind, flags), *read)

    def _careful(self, payload: bytes, key: bytes) -> tuple[Prefix, Path] | None:
        read = parse_route(payload)
        if read is None:
            return None
        path = self.intern(read.path)
        # Second in order means: the one attribute before it ends where it begins.
        if key and read.regular and payload[20:24] == _DST[payload[0]] and nl.aligned(nl.u16(payload[12:14])) == 8:
            if len(self.known) >= KNOWN_LIMIT:
                self.known.clear()
            length = read.prefix & 0xFF
            bits, mark = (128, V6) if read.prefix & V6 else (32, 0)
            self.known[key] = path, (1 << bits) - (1 << (bits - length)), mark | length
        return read.prefix, path


class RouteCollector:
    """
    Collects the routes of a dump whose path passes `keep`, which is asked once for each kind of message.
    """

    def __init__(self, decoder: RouteDecoder, keep: Callable[[Path], bool]) -> None:
        self._decoder, self._keep = decoder, keep
        self._chosen: dict[bytes, Found | Literal[False]] = {}
        self.routes: dict[Prefix, Path | tuple[Path, ...]] = {}

    def feed(self, datagram: bytes) -> list[nl.Message]:  # noqa: C901, PLR0912 - one loop without calls, for speed
        """
        Take the routes of one datagram. Returns the messages that are no routes, and those that tell that the dump
        was interrupted. Raises RemoteProtocolError.
        """
        # A million routes come through here: local names, no call and no object per route.
        others: list[nl.Message] = []
        routes = cast("dict[int, Path | tuple[Path, ...]]", self.routes)
        chosen, start, number = self._chosen, nl.START.unpack_from, int.from_bytes
        at, end = 0, len(datagram)
        while end - at >= nl.HEADER.size:
            length, kind, flags = start(datagram, at)
            stop = at + length
            if kind != RTM_NEWROUTE or flags & nl.NLM_F_DUMP_INTR or not _LEAST_V4 + 16 <= length <= end - at:
                message = next(nl.messages(memoryview(datagram)[at:]))
                if kind != RTM_NEWROUTE or flags & nl.NLM_F_DUMP_INTR:
                    others.append(message)
                if kind == RTM_NEWROUTE:
                    self._careful(bytes(message.payload), b"")
            else:
                if datagram[at + 16] == AF_INET:
                    key, address = datagram[at + 16 : at + 40] + datagram[at + 44 : stop], datagram[at + 40 : at + 44]
                elif length >= _LEAST_V6 + 16:
                    key, address = datagram[at + 16 : at + 40] + datagram[at + 56 : stop], datagram[at + 40 : at + 56]
                else:
                    key = address = b""
                found = chosen.get(key)
                if found:
                    path, mask, family_length = found
                    prefix = (number(address, "big") & mask) << 8 | family_length
                    if prefix in routes:
                        self._add(prefix, path)
                    else:
                        routes[prefix] = path
                elif found is None:
                    self._careful(datagram[at + 16 : stop], key)
            at += (length + 3) & ~3
        if at < end:
            raise RemoteProtocolError(f"netlink: {end - at} bytes are too few for a message header")
        return others

    def _careful(self, payload: bytes, key: bytes) -> None:
        read = self._decoder.route(payload)
        if read is None:
            return
        prefix, path = read
        keep = self._keep(path)
        if key and key in self._decoder.known:
            self._chosen[key] = keep and self._decoder.known[key]
        if keep:
            self._add(prefix, path)

    def _add(self, prefix: int, path: Path) -> None:
        routes = cast("dict[int, Path | tuple[Path, ...]]", self.routes)
        match routes.get(prefix):
            case None:
                routes[prefix] = path
            case tuple(paths):
                routes[prefix] = (*paths, path)
            case first:
                routes[prefix] = (first, path)


def _new_kind(flags: int) -> RouteChangeKind:
    if flags & nl.NLM_F_REPLACE:
        return RouteChangeKind.REPLACED
    if flags & nl.NLM_F_APPEND:
        return RouteChangeKind.APPENDED
    if flags & nl.NLM_F_EXCL:
        return RouteChangeKind.ADDED
    return RouteChangeKind.PREPENDED


_NEW_KINDS: Final = tuple(_new_kind(bits << 8) for bits in range(16))


def change_kind(kind: int, flags: int) -> RouteChangeKind:
    """
    What a notification says: its type, and the flags of the request that caused it (fib_table_insert in
    net/ipv4/fib_trie.c, inet6_rt_notify in net/ipv6/route.c).

    An IPv6 route that was added with several next hops at once comes as PREPENDED, with all of them.
    """
    return RouteChangeKind.DELETED if kind == RTM_DELROUTE else _NEW_KINDS[flags >> 8 & 15]
