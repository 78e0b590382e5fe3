"""Many route messages at once, as columns: by layouts where these prove what a row says, else one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, AF_INET6, V6, Prefix
from peerway.model.route import Path
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.nlstream import Block, Octets, Places, as_places
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtlayout import NOBODY, Layout
from peerway.protocols.rtroute import RTMSG, ParsedRoute, parse_route

_LAYOUTS: Final = 8  # of messages of one length
_TRIES: Final = 8  # messages without a layout that may stand before one that has one
_PAYLOAD: Final = nl.HEADER.size
_DST_LEN: Final = _PAYLOAD + 1
_LEAST: Final = _PAYLOAD + RTMSG.size + 8  # with one attribute that has a value
_BITS: Final = {AF_INET: 32, AF_INET6: 128}
_EIGHT: Final = np.uint64(8)
_NONE: Final = np.zeros(0, np.intp)
_FIRST: Final = np.zeros(1, np.intp)

_LENGTHS4: Final = np.arange(33, dtype=np.uint64)
_MASKS4: Final = (np.uint64(0xFFFFFFFF) << (np.uint64(32) - _LENGTHS4)) & np.uint64(0xFFFFFFFF)
_MASKS6: Final[Octets] = np.packbits(np.arange(128) < np.arange(129)[:, None], axis=1)


@dataclass(slots=True)
class Piece:
    """
    Routes of one family at rising places of a stream; `numbers` are those of the decoder's paths.
    """

    places: slice | Places
    column: Column
    numbers: Codes


@dataclass(slots=True)
class Pieces:
    """
    What was read of one stretch of a stream, by family, and what could not be read.
    """

    found: dict[int, list[Piece]] = field(default_factory=lambda: {AF_INET: [], AF_INET6: []})
    errors: list[RemoteProtocolError] = field(default_factory=list)

    def whole(self, family: int) -> Piece | None:
        """
        The routes of a family as one piece, in the order of the stream.
        """
        parts = self.found[family]
        if len(parts) < 2:
            return parts[0] if parts else None
        where = np.concatenate([as_places(part.places) for part in parts])
        column = np.concatenate([part.column for part in parts])
        numbers = np.concatenate([part.numbers for part in parts])
        if bool((where[1:] > where[:-1]).all()):
            return Piece(where, column, numbers)
        order = np.argsort(where, kind="stable")  # a merge of what is in order already
        return Piece(where[order], column[order], numbers[order])


class RouteRows:
    """
    Reads blocks of route messages, and remembers their layouts.
    """

    def __init__(self, decoder: RouteDecoder) -> None:
        self._decoder = decoder
        self.paths = decoder.paths
        """The paths by number, since `begin`."""
        self._layouts: dict[int, list[Layout]] = {}

    def begin(self) -> Pieces:
        """
        Begin to read a stretch, in which the numbers of paths keep their meaning.
        """
        self._decoder.tidy()
        if self.paths is not self._decoder.paths:
            self.paths = self._decoder.paths
            self._layouts.clear()
        return Pieces()

    def read(self, block: Block, pieces: Pieces) -> None:
        """
        Read a block of route messages; those that are in no table are left out (parse_route).
        """
        if block.length % 4 == 0 and block.length >= _LEAST:
            layouts = self._layouts.setdefault(block.length, [])
            at = tries = 0
            while len(block.rows) and at < _LAYOUTS and tries < _TRIES:
                if at < len(layouts) or _is_regular(block.message(0)):
                    if at == len(layouts):
                        layouts.append(Layout(block.rows[0]))
                    block = self._match(layouts[at], block, pieces)
                    at += 1
                else:
                    self._read_each(block.only(_FIRST), pieces)
                    block = block.only(np.arange(1, len(block.rows)))
                    tries += 1
        self._read_each(block, pieces)

    def _match(self, layout: Layout, block: Block, pieces: Pieces) -> Block:
        """Read what has this layout. Returns the rest."""
        members = layout.members(block.rows)
        rest = block.only(_NONE if members is None else np.flatnonzero(~members))
        if members is not None:
            block = block.only(np.flatnonzero(members))
        if not len(block.rows):
            return rest
        family = int(block.octets[0, _PAYLOAD])
        numbers = layout.match(block.rows, self._number)
        lengths = block.octets[:, _DST_LEN]
        if int(lengths.max()) > _BITS[family]:
            numbers[lengths > _BITS[family]] = NOBODY
        if int(numbers.min()) < 0:
            self._read_each(block.only(np.flatnonzero(numbers < 0)), pieces)
            good = np.flatnonzero(numbers >= 0)
            block, numbers = block.only(good), numbers[good]
        if len(numbers):
            column = _ipv4(block, layout.address) if family == AF_INET else _ipv6(block, layout.address)
            pieces.found[family].append(Piece(block.places, column, numbers))
        return rest

    def _number(self, payload: bytes) -> int:
        read = _careful(payload)
        return NOBODY if read is None else self._decoder.number(read.path)

    def _read_each(self, block: Block, pieces: Pieces) -> None:
        if not len(block.rows):
            return
        at = as_places(block.places)
        found: dict[int, list[tuple[int, Prefix, int]]] = {AF_INET: [], AF_INET6: []}
        for row in range(len(block.rows)):
            try:
                read = self._decoder.read(block.message(row)[_PAYLOAD:])
            except RemoteProtocolError as error:
                pieces.errors.append(error)
                continue
            if read is not None:
                prefix, path = read
                found[AF_INET6 if prefix & V6 else AF_INET].append((int(at[row]), prefix, self._decoder.number(path)))
        for family, rows in found.items():
            if rows:
                where, prefixes, numbers = zip(*rows, strict=True)
                piece = Piece(np.array(where), cl.make(family, prefixes), np.array(numbers, np.int32))
                pieces.found[family].append(piece)


def compact(paths: Sequence[Path], numbers: Codes) -> tuple[Codes, list[Path]]:
    """
    Numbers of paths as codes of those paths alone that they name.
    """
    count = np.bincount(numbers, minlength=len(paths))
    used = np.flatnonzero(count)
    new = np.zeros(len(paths), np.int32)
    new[used] = np.arange(len(used), dtype=np.int32)
    return new[numbers], [paths[number] for number in used.tolist()]


def _careful(payload: bytes) -> ParsedRoute | None:
    try:
        return parse_route(payload)
    except RemoteProtocolError:
        return None


def _is_regular(message: bytes) -> bool:
    read = _careful(message[_PAYLOAD:])
    return read is not None and read.regular


def _ipv4(block: Block, address: int) -> Column:
    lengths = block.octets[:, _DST_LEN]
    column = block.rows[:, address].view(">u4").astype(np.uint64)
    column &= _MASKS4[lengths]
    column <<= _EIGHT
    column |= lengths
    return column


def _ipv6(block: Block, address: int) -> Column:
    octets = block.octets
    lengths = octets[:, _DST_LEN]
    table = np.empty((len(lengths), cl.WIDTH), np.uint8)
    np.bitwise_and(octets[:, address * 4 : address * 4 + 16], _MASKS6[lengths], out=table[:, :16])
    table[:, 16] = lengths
    return table.view(cl.IPV6).reshape(-1)
