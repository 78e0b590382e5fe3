"""Collects the routes of a dump, in columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, AF_INET6
from peerway.model.route import Path, RouteColumns
from peerway.protocols import netlink as nl
from peerway.protocols.nlstream import Block, Places, Words, cut
from peerway.protocols.rtroute import RTM_NEWROUTE
from peerway.protocols.rtrows import Pieces, RouteRows

_UNKNOWN: Final = -1
_UNWANTED: Final = -2


class RouteCollector:
    """
    Takes a dump of routes piece by piece, and keeps those whose path passes `keep`, which is asked once for each path.
    """

    def __init__(self, rows: RouteRows, keep: Callable[[Path], bool], seq: int) -> None:
        """
        `rows` may have learnt from other dumps. Messages with another sequence number than `seq` are of another dump.
        """
        self._rows, self._keep, self._seq = rows, keep, seq
        self._numbered: list[Path] | None = None
        self._codes: Codes = np.zeros(0, np.int32)  # by number of the path
        self._paths: list[Path] = []
        self._parts: dict[int, list[tuple[Column, Codes]]] = {AF_INET: [], AF_INET6: []}

    def feed(self, words: Words, sizes: list[int]) -> list[nl.Message]:
        """
        Take datagrams of `sizes` bytes, each of which begins at a word, one behind the other. Returns the messages
        that are no routes, and one of those that tell that the dump was interrupted. Raises RemoteProtocolError.
        """
        blocks = None
        if sizes and not any(size & 3 for size in sizes):
            blocks = cut(words, np.cumsum(sizes) >> 2)
        others: list[nl.Message] = []
        pieces = self._rows.begin()
        for block in _one_by_one(words, sizes) if blocks is None else blocks:
            self._rows.read(self._routes(block, others), pieces)
        if pieces.errors:
            raise pieces.errors[0]
        self._keep_some(pieces)
        return others

    def columns(self) -> list[RouteColumns]:
        """
        What was kept: one for each family that has any.
        """
        found = []
        for parts in self._parts.values():
            if parts:
                columns, codes = zip(*parts, strict=True)
                found.append(RouteColumns(np.concatenate(columns), np.concatenate(codes), tuple(self._paths)))
        return found

    def _routes(self, block: Block, others: list[nl.Message]) -> Block:
        """The routes of a block; puts away what else is in it."""
        usual = block.rows[0, 1:3]  # type and flags, sequence number
        if (
            block.kinds[0] == RTM_NEWROUTE
            and not block.flags[0] & nl.NLM_F_DUMP_INTR
            and usual[1] == self._seq
            and not ((block.rows[:, 1] != usual[0]) | (block.rows[:, 2] != usual[1])).any()
        ):
            return block
        wrong = block.kinds != RTM_NEWROUTE
        interrupted = (block.flags & nl.NLM_F_DUMP_INTR) != 0
        foreign = block.rows[:, 2] != self._seq
        if interrupted.any():
            others += nl.messages(block.message(int(interrupted.argmax())))
        for row in np.flatnonzero(wrong & ~foreign).tolist():
            others += nl.messages(block.message(row))
        return block.only(np.flatnonzero(~(wrong | foreign)))

    def _keep_some(self, pieces: Pieces) -> None:
        for family, parts in self._parts.items():
            piece = pieces.whole(family)
            if piece is None:
                continue
            codes = self._chosen(piece.numbers)
            column = piece.column
            if int(codes.min()) < 0:
                kept = np.flatnonzero(codes >= 0)
                column, codes = column[kept], codes[kept]
            if len(column):
                parts.append((column, codes))

    def _chosen(self, numbers: Codes) -> Codes:
        """What was decided of each path, by its number; a path that is new is decided now."""
        paths = self._rows.paths
        if self._numbered is not paths:
            self._numbered, self._codes = paths, np.zeros(0, np.int32)
        if len(self._codes) < len(paths):
            more = np.full(len(paths) - len(self._codes), _UNKNOWN, np.int32)
            self._codes = np.concatenate((self._codes, more))
        codes = self._codes[numbers]
        if int(codes.min()) < 0 and (codes == _UNKNOWN).any():
            for number in np.flatnonzero(np.bincount(numbers[codes == _UNKNOWN])).tolist():
                self._codes[number] = self._decided(paths[number])
            codes = self._codes[numbers]
        return codes

    def _decided(self, path: Path) -> int:
        if not self._keep(path):
            return _UNWANTED
        self._paths.append(path)
        return len(self._paths) - 1


def _one_by_one(words: Words, sizes: list[int]) -> list[Block]:
    """The messages of datagrams that are not filled exactly. Raises RemoteProtocolError."""
    view, at, found = words.data.cast("B"), 0, list[Block]()
    for size in sizes:
        for place, message in enumerate(nl.messages(view[at : at + size]), len(found)):
            length = nl.HEADER.size + len(message.payload)
            head = nl.HEADER.pack(length, message.type, message.flags, message.seq, message.pid)
            data = head + bytes(message.payload) + bytes(-length % 4)
            where: Places = np.array([place])
            found.append(Block(length, np.frombuffer(data, np.uint32)[None, :], where))
        at += nl.aligned(size)
    return found
