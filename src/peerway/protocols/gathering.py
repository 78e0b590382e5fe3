"""Puts the AllowedIPs of a device together while they are read, a unit after the other; knows units of last time.

A unit is what one peer was told to have in one piece of an answer. A device that did not change tells the same units,
so their bytes are remembered as digests, and what was read then is used again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Codes, Column
from peerway.model.device import AllowedIPs
from peerway.model.keys import PublicKey

Unit = tuple[Column, Column]
"""IPv4 and IPv6 prefixes, as they were told."""
Places = npt.NDArray[np.int32]

_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class _Part:
    """A unit of an answer: whose, its digest, and how many prefixes of each family."""

    key: PublicKey
    digest: bytes
    counts: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Memory:
    """
    What a reading leaves for the next one. Columns are sorted; `places` tells where the prefixes stand in them, in
    the order in which they were told.
    """

    parts: tuple[_Part, ...] = ()
    spans: dict[bytes, tuple[slice, slice]] = field(default_factory=dict)
    columns: Unit = (cl.none(px.AF_INET), cl.none(px.AF_INET6))
    places: tuple[Places, Places] = (np.empty(0, np.int32), np.empty(0, np.int32))

    def unit(self, digest: bytes) -> Unit:
        """
        A unit that is in `spans`.
        """
        v4, v6 = self.spans[digest]
        return self.columns[0][self.places[0][v4]], self.columns[1][self.places[1][v6]]


class Gathering:
    """
    The AllowedIPs that one answer tells. After `table`, `memory` is for the next answer of the same device.
    """

    __slots__ = ("_parts", "_units", "memory", "size")

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self.size = 0
        self._parts: list[_Part] = []
        self._units: list[Unit | None] = []  # None: as last time

    @staticmethod
    def digest(raw: bytes | memoryview) -> bytes:
        """
        What is remembered of a unit's bytes.
        """
        return hashlib.blake2b(raw, digest_size=_DIGEST).digest()

    def knows(self, digest: bytes) -> bool:
        """
        Whether the last answer had this unit.
        """
        return digest in self.memory.spans

    def add(self, key: PublicKey, digest: bytes, unit: Unit | None) -> None:
        """
        Take the next unit of a peer; None for one that `knows` knows.
        """
        if unit:
            counts = len(unit[0]), len(unit[1])
        else:
            v4, v6 = self.memory.spans[digest]
            counts = v4.stop - v4.start, v6.stop - v6.start
        self.size += sum(counts)
        self._parts.append(_Part(key, digest, counts))
        self._units.append(unit)

    def table(self) -> AllowedIPs:
        """
        The map of AllowedIPs; of a prefix that was told twice the last peer counts.
        """
        parts = tuple(self._parts)
        if parts != self.memory.parts:
            self.memory = self._remembered(parts)
        table = AllowedIPs()
        if parts:
            codes = np.array([table.code(part.key) if any(part.counts) else 0 for part in parts], np.int32)
            for family, rows in enumerate(table.families):
                told = np.repeat(codes, [part.counts[family] for part in parts])
                rows.replace(*self._family(family, told))
        return table

    def _family(self, family: int, told: Codes) -> tuple[Column, Codes]:
        column, places = self.memory.columns[family], self.memory.places[family]
        codes = np.empty(len(column), np.int32)
        codes[places] = told  # of two with the same place the last one counts
        return column, codes

    def _remembered(self, parts: tuple[_Part, ...]) -> Memory:
        units = [
            self.memory.unit(part.digest) if unit is None else unit
            for part, unit in zip(parts, self._units, strict=True)
        ]
        self._units = []
        spans: dict[bytes, tuple[slice, slice]] = {}
        v4 = v6 = 0
        for part in parts:
            spans[part.digest] = slice(v4, v4 + part.counts[0]), slice(v6, v6 + part.counts[1])
            v4, v6 = v4 + part.counts[0], v6 + part.counts[1]
        column_v4, places_v4 = _sorted(px.AF_INET, [unit[0] for unit in units])
        column_v6, places_v6 = _sorted(px.AF_INET6, [unit[1] for unit in units])
        return Memory(parts, spans, (column_v4, column_v6), (places_v4, places_v6))


def _sorted(family: int, columns: list[Column]) -> tuple[Column, Places]:
    """All prefixes in order, without doubles, and where each of those that were told stands."""
    told = np.concatenate([cl.none(family), *columns])
    places = np.empty(len(told), np.int32)
    if bool((told[1:] > told[:-1]).all()):
        places[:] = np.arange(len(told))
        return told, places
    order = np.argsort(told, kind="stable")
    column = told[order]
    new = np.ones(len(told), np.bool_)
    new[1:] = column[1:] != column[:-1]
    places[order] = np.cumsum(new, dtype=np.int32) - np.int32(1)
    return (column if new.all() else column[new]), places
