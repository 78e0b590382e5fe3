"""Notifications of rtnetlink as changes: a few routes as objects, many in a row as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from peerway.model.ports import Change, Gap
from peerway.model.prefix import AF_INET, AF_INET6, V6, Prefix
from peerway.model.route import KINDS, RT_TABLE_LOCAL, RouteChange, RouteChangeKind, RouteColumns
from peerway.protocols import netlink as nl
from peerway.protocols import rtlink, rtnexthop, rtroute
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.nlstream import Block, Places, Words, alike
from peerway.protocols.rtdecoder import KNOWN_LIMIT, Found, RouteDecoder, change_kind
from peerway.protocols.rtrows import RouteRows, compact

MANY: Final = 24
"""From so many routes in a row on columns are cheaper than objects."""

_ROUTES: Final = (rtroute.RTM_NEWROUTE, rtroute.RTM_DELROUTE)
_OWN_TYPES: Final = frozenset({2, 3, 4, 5})  # local, broadcast, anycast, multicast: made with addresses
_OWN: Final = np.array([kind in _OWN_TYPES for kind in range(256)])
_PAYLOAD: Final = nl.HEADER.size
_ADDRESS: Final = _PAYLOAD + 24  # of an IPv4 route whose RTA_DST stands behind one attribute of eight bytes
_BEHIND: Final = _ADDRESS + 4
_TABLE: Final = nl.HEADER.size + 4
_TYPE: Final = nl.HEADER.size + 7
# By the last bit of the message's type, and the four flags that count.
_KINDS: Final = np.array(
    [KINDS.index(change_kind(kind, bits << 8)) for kind in _ROUTES for bits in range(16)], np.int32
)


class ChangeReader:
    """
    Reads what waited at a socket that hears of links, addresses, nexthop objects and routes. The kernel's own routes
    (table local, and types local, broadcast, anycast and multicast) are left out, unless such a one took another
    route's place.
    """

    def __init__(self, decoder: RouteDecoder, rows: RouteRows) -> None:
        self._decoder, self._rows = decoder, rows
        self._known: dict[bytes, tuple[RouteChangeKind, Found]] = {}

    def read_few(self, datagrams: Iterable[bytes]) -> list[Change | Gap]:
        """
        Read datagrams one by one. One that cannot be read is a Gap.

        What a datagram means that is one IPv4 route lies under all its bytes but sequence number, port and address.
        """
        changes: list[Change | Gap] = []
        for datagram in datagrams:
            key = datagram[:8] + datagram[_PAYLOAD:_ADDRESS] + datagram[_BEHIND:]
            known = self._known.get(key)
            if known is None:
                before = len(changes)
                self._read_datagram(datagram, changes)
                if len(changes) == before + 1:
                    self._learn(key, datagram[_PAYLOAD:], changes[-1])
                continue
            kind, (path, mask, family_length) = known
            number = int.from_bytes(datagram[_ADDRESS:_BEHIND], "big") & mask
            changes.append(RouteChange(kind, Prefix(number << 8 | family_length), path))
        return changes

    def _learn(self, key: bytes, payload: bytes, change: Change | Gap) -> None:
        found = self._decoder.known.get(payload[:24] + payload[28:])
        if found is None or not isinstance(change, RouteChange) or change.prefix >= V6:
            return
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()
        self._known[key] = change.kind, found

    def read(self, words: Words, sizes: Sequence[int]) -> list[Change | Gap]:
        """
        Read datagrams of `sizes` bytes, each of which begins at a word, one behind the other: MANY routes or more in a
        row as columns. One that cannot be read is a Gap; among many routes it stands behind them.
        """
        changes: list[Change | Gap] = []
        data = words.data.cast("B")
        lengths = np.array(sizes, np.uint32)
        begins = np.cumsum((lengths.astype(np.intp) + 3) >> 2)
        begins = np.concatenate((np.zeros(1, begins.dtype), begins[:-1]))
        kinds = words.view(np.uint16)[begins * 2 + 2]
        # Routes that fill their datagrams; what else there is stands between them.
        routes = (words[begins] == lengths) & (lengths >= nl.HEADER.size + rtroute.RTMSG.size)
        routes &= (kinds == rtroute.RTM_NEWROUTE) | (kinds == rtroute.RTM_DELROUTE)
        first = 0
        for other in [*np.flatnonzero(~routes).tolist(), len(sizes)]:
            if other - first >= MANY:
                changes += self._columns(words, begins[first:other], lengths[first:other])
                first = other
            for place in range(first, min(other + 1, len(sizes))):
                at = int(begins[place]) * 4
                self._read_datagram(bytes(data[at : at + sizes[place]]), changes)
            first = other + 1
        return changes

    def _columns(self, words: Words, begins: Places, lengths: Words) -> list[Change | Gap]:
        pieces = self._rows.begin()
        kinds = np.zeros(len(begins), np.int32)
        for block in alike(words, begins, lengths):
            kinds[block.places] = _KINDS[(block.kinds & 1) << 4 | block.flags >> 8 & 15]
            self._rows.read(_foreign(block), pieces)
        changes: list[Change | Gap] = []
        for family in (AF_INET, AF_INET6):
            piece = pieces.whole(family)
            if piece is not None:
                codes, paths = compact(self._rows.paths, piece.numbers)
                changes.append(RouteColumns(piece.column, codes, paths, kinds[piece.places]))
        changes += [_unread(error) for error in pieces.errors]
        return changes

    def _read_datagram(self, datagram: bytes, changes: list[Change | Gap]) -> None:
        try:
            length, kind, flags = nl.START.unpack_from(datagram) if len(datagram) > nl.START.size else (0, 0, 0)
            if length == len(datagram) and kind in _ROUTES:  # one route alone: the usual case by far, made quick
                change = self._route(kind, flags, datagram[nl.HEADER.size :])
                if change is not None:
                    changes.append(change)
            else:
                self._read_messages(datagram, changes)
        except RemoteProtocolError as error:
            changes.append(_unread(error))

    def _read_messages(self, datagram: bytes, changes: list[Change | Gap]) -> None:
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


def _foreign(block: Block) -> Block:
    """What `_route` would not drop."""
    octets = block.octets
    drop = octets[:, _TABLE] == RT_TABLE_LOCAL
    own = _OWN[octets[:, _TYPE]]
    if own.any():
        drop |= own & ((block.kinds == rtroute.RTM_DELROUTE) | (block.flags & nl.NLM_F_REPLACE == 0))
    return block.only(np.flatnonzero(~drop)) if drop.any() else block


def _unread(error: RemoteProtocolError) -> Gap:
    return Gap(f"a notification could not be read: {error}")
