"""Layouts of route messages: what tells that many messages mean the same path, without reading each.

A layout is the attribute headers of a message and their places. Messages with equal headers at equal places are walked
alike, so their RTA_DST stands at one place, and what else `parse_route` reads stands at one place too. Of these words
few vary: gateways, an interface. They are a row's key, and under each key lies what the careful reader said of one
row. Keys of one or two words are exact; longer ones are sums, so each row is compared with the one it is taken for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from peerway.model.columns import Codes, Mask
from peerway.protocols import netlink as nl
from peerway.protocols.nlstream import Words
from peerway.protocols.rtroute import READ, RTA_DST, RTMSG

NOBODY: Final = -1  # in the place of a number: this row is to be read with care
_KNOWN: Final = 4096  # keys of a layout, beyond which it learns anew; and that are learned of one block
_SAMPLE: Final = 512  # rows among which new keys are sought
_RARE: Final = 256  # of so many rows one may be strange in a word without making it a part of the key

_RTMSG: Final = nl.HEADER.size // 4  # words
_ATTRIBUTES: Final = _RTMSG + RTMSG.size // 4
_DST_LEN: Final = np.frombuffer(b"\xff\0\xff\xff", np.uint32)[0]  # what is left of the first word of rtmsg
_FAMILY: Final = np.frombuffer(b"\xff\0\0\0", np.uint32)[0]
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # any odd number whose bits are well mixed
_FACTORS: Final = tuple(np.arange(1, 80, 2, dtype=np.uint64) * _MULTIPLIER)
_SPARSE: Final = 64  # slots for each key
_MOST_BITS: Final = 20
_EXACT: Final = np.uint64(1 << 32)

Keys = npt.NDArray[np.uint64]
Reader = Callable[[bytes], int]
"""Reads the payload of a route with care: the number of its path, or NOBODY."""


class Layout:
    """
    One layout, learnt from the row of a message that has exactly one RTA_DST, of full length.
    """

    __slots__ = ("_base", "_fixed", "_hash", "_heads", "_keys", "_numbers", "_rows", "_slots", "_varying", "address")

    def __init__(self, row: Words) -> None:
        self._base = _masked(row[None, :])
        self._heads: list[int] = []
        self._fixed = list(range(_RTMSG, _ATTRIBUTES))
        self.address = 0
        """The first word of the destination."""
        at, data = _ATTRIBUTES * 4, row.tobytes()
        while at < len(data):
            length, kind = nl.ATTRIBUTE.unpack_from(data, at)
            first, last = at // 4, (at + nl.aligned(length)) // 4
            self._heads.append(first)
            if kind & nl.NLA_TYPE_MASK == RTA_DST:
                self.address = first + 1
            elif kind & nl.NLA_TYPE_MASK in READ:
                self._fixed += range(first + 1, last)
            at = last * 4
        self._varying: list[int] = []
        self._forget()

    def _forget(self) -> None:
        self._rows: Words = self._base[:0]
        self._numbers: Codes = np.zeros(0, np.int32)
        self._keys: Keys = np.zeros(0, np.uint64)
        self._slots: npt.NDArray[np.intp] | None = None
        self._hash = _MULTIPLIER, np.uint64(0)

    def members(self, rows: Words) -> Mask | None:
        """
        Which rows have this layout; None for all.
        """
        base = self._base[0]
        strange = (rows[:, _RTMSG] ^ base[_RTMSG]) & _FAMILY
        for at in self._heads:
            strange |= rows[:, at] ^ base[at]
        return strange == 0 if strange.any() else None

    def match(self, rows: Words, read: Reader) -> Codes:
        """
        The number of each row's path, NOBODY where only the careful reader can tell. All rows must be members.
        """
        strange = self._watch(rows)
        if len(self._rows) > _KNOWN:
            self._forget()
        keys = self._key(rows)
        at, found = self._look(keys)
        if not found.all():
            unknown = np.flatnonzero(~found if strange is None else ~(found | strange))
            if len(unknown):
                self._learn(keys, rows, unknown, read)
                at, found = self._look(keys)
        numbers = self._numbers[at]
        if not found.all():
            numbers[~found] = NOBODY
        if len(self._varying) > 2:  # a sum may stand for another row's words
            for word in self._varying:
                numbers[self._rows[at, word] != _word(rows, word)] = NOBODY
        if strange is not None:
            numbers[strange] = NOBODY
        return numbers

    def _watch(self, rows: Words) -> Mask | None:
        """Find words that begin to vary. Returns the rows that are strange in a word that does not."""
        base, strange = self._base[0], None
        for word in self._fixed.copy():
            differs = _word(rows, word) != base[word]
            count = int(np.count_nonzero(differs))
            if count * _RARE > len(rows):
                self._fixed.remove(word)
                self._varying.append(word)
                self._sort(self._rows, self._numbers)
            elif count:
                strange = differs if strange is None else strange | differs
        return strange

    def _key(self, rows: Words) -> Keys:
        factor = _EXACT if len(self._varying) <= 2 else _MULTIPLIER
        key: Keys | None = None
        for word in self._varying:
            value = _word(rows, word)
            key = value.astype(np.uint64) if key is None else key * factor + value
        return np.zeros(len(rows), np.uint64) if key is None else key

    def _look(self, keys: Keys) -> tuple[npt.NDArray[np.intp], Mask]:
        """Which row each key is, and whether it is one."""
        if not len(self._keys):
            return np.zeros(len(keys), np.intp), np.zeros(len(keys), np.bool_)
        if self._slots is None:
            at = self._keys.searchsorted(keys)
            np.minimum(at, len(self._keys) - 1, out=at)
        else:
            at = self._slots[_slot(keys, *self._hash)]
        return at, cast("Mask", self._keys[at] == keys)

    def _learn(self, keys: Keys, rows: Words, unknown: npt.NDArray[np.intp], read: Reader) -> None:
        most = len(self._rows) + _KNOWN
        while len(unknown) and len(self._rows) < most:
            _, first = np.unique(keys[unknown[:_SAMPLE]], return_index=True)
            new = _masked(rows[unknown[first]])
            # The length of the prefix is no part of the key: it is 0 here, and read from each row.
            numbers = [read(row[_RTMSG:].tobytes()) for row in new]
            self._sort(np.concatenate((self._rows, new)), np.array([*self._numbers.tolist(), *numbers], np.int32))
            unknown = unknown[~self._look(keys[unknown])[1]]

    def _sort(self, rows: Words, numbers: Codes) -> None:
        self._keys, first = np.unique(self._key(rows), return_index=True)
        self._rows, self._numbers = rows[first], numbers[first]
        self._place()

    def _place(self) -> None:
        """Find a hash under which no two keys meet: looking up is then five times as quick as searching."""
        self._slots = None
        bits = max(8, (len(self._keys) * _SPARSE).bit_length())
        for factor in _FACTORS if bits <= _MOST_BITS else ():
            slots = _slot(self._keys, factor, np.uint64(64 - bits))
            if len(np.unique(slots)) == len(slots):
                self._slots = np.zeros(1 << bits, np.intp)
                self._slots[slots] = np.arange(len(slots))
                self._hash = factor, np.uint64(64 - bits)
                return


def _slot(keys: Keys, factor: np.uint64, shift: np.uint64) -> npt.NDArray[np.int64]:
    return (keys * factor >> shift).view(np.int64)


def _word(rows: Words, word: int) -> Any:
    return rows[:, word] & _DST_LEN if word == _RTMSG else rows[:, word]


def _masked(rows: Words) -> Words:
    copy = rows.copy()
    copy[:, _RTMSG] &= _DST_LEN
    return copy
