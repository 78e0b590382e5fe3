"""The quick reader of one route (rtrows.py reads many at once).

Routes differ mostly in their prefix alone. So the bytes of a message without its prefix are a key, and under it lies
what the careful reader (rtroute.py) found the first time: an interned Path. The usual message then costs a few
slices and one look-up. That an attribute RTA_DST of full length stands second is part of the key, and only messages
that the careful reader found to be so are remembered; all others go the careful way each time.
"""

from __future__ import annotations

from typing import Final, cast

from peerway.model.prefix import AF_INET, AF_INET6, V6, Prefix
from peerway.model.route import Path, RouteChange, RouteChangeKind
from peerway.protocols import netlink as nl
from peerway.protocols.rtroute import RTM_DELROUTE, parse_route

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
        self.known: dict[bytes, Found] = {}
        self.interned: dict[Path, int] = {}
        self.paths: list[Path] = []
        """The paths by number. When it grows too long, another list takes its place."""

    def number(self, path: Path) -> int:
        """
        The number of a path, the same for all that are equal.
        """
        number = self.interned.setdefault(path, len(self.paths))
        if number == len(self.paths):
            self.paths.append(path)
        return number

    def intern(self, path: Path) -> Path:
        """
        The one object that stands for all paths equal to this one.
        """
        self.tidy()
        return self.paths[self.number(path)]

    def tidy(self) -> None:
        """
        Forget all paths if they are too many: the old numbers are void then, and `paths` is another list.
        """
        if len(self.paths) >= KNOWN_LIMIT:
            self.interned, self.paths = {}, []
            self.known.clear()

    def route(self, payload: bytes) -> tuple[Prefix, Path] | None:
        """
        Read the payload of one message; None for what is in no table (parse_route). Raises RemoteProtocolError.
        """
        self.tidy()
        return self.read(payload)

    def read(self, payload: bytes) -> tuple[Prefix, Path] | None:
        """
        The same within a stretch of messages, in which the numbers of paths keep their meaning.
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
        path = self.paths[self.number(read.path)]
        # Second in order means: the one attribute before it ends where it begins.
        if key and read.regular and payload[20:24] == _DST[payload[0]] and nl.aligned(nl.u16(payload[12:14])) == 8:
            if len(self.known) >= KNOWN_LIMIT:
                self.known.clear()
            length = read.prefix & 0xFF
            bits, mark = (128, V6) if read.prefix & V6 else (32, 0)
            self.known[key] = path, (1 << bits) - (1 << (bits - length)), mark | length
        return read.prefix, path


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
