"""When something was applied: time stamps in a file that contestant and bench have in memory, without a system call."""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from struct import Struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

CAPACITY: Final = 1 << 20
NUMBER: Final = Struct("=Q")
STAMP: Final = Struct("=QQ")  # CLOCK_MONOTONIC in ns, and how many prefixes were set
SIZE: Final = NUMBER.size + CAPACITY * STAMP.size


class Stamps:
    """
    The stamps of one contestant (struct stamps of c/bench.h). The first has a count of 0: it begins.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """
        Map the file, and empty it if it is `fresh`.
        """
        self.path = path
        if fresh:
            path.unlink(missing_ok=True)
            path.touch()
            with path.open("r+b") as file:
                file.truncate(SIZE)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)

    def write(self, count: int) -> None:
        """
        The present time.
        """
        (written,) = NUMBER.unpack_from(self._map)
        STAMP.pack_into(self._map, NUMBER.size + written % CAPACITY * STAMP.size, time.monotonic_ns(), count)
        NUMBER.pack_into(self._map, 0, written + 1)

    @property
    def written(self) -> int:
        """
        How many there are.
        """
        found: int = NUMBER.unpack_from(self._map)[0]
        return found

    def read(self, first: int = 0) -> npt.NDArray[Any]:
        """
        All from number `first` on, as columns `time` and `count`; only as many as the file holds.
        """
        written = self.written
        whole = np.frombuffer(self._map, [("time", "=u8"), ("count", "=u8")], CAPACITY, NUMBER.size)
        return whole[np.arange(max(first, written - CAPACITY), written) % CAPACITY].copy()

    @property
    def begin(self) -> int:
        """
        When the contestant began.
        """
        return int(self.read()[0]["time"])

    @property
    def last(self) -> int:
        """
        When something was applied last.
        """
        return int(self.read(self.written - 1)[0]["time"])

    def total(self, first: int = 0) -> int:
        """
        How many prefixes were set since.
        """
        return int(self.read(first)["count"].sum())
