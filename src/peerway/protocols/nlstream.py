"""The messages of many netlink datagrams at once, found without a step for each.

Datagrams lie back to back in one buffer, seen as words of 32 bits. Messages of one length that follow each other are
rows of a table that needs no copy; where lengths change often, messages are found by their headers, or else all
datagrams are walked side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from peerway.protocols import netlink as nl

Words = npt.NDArray[np.uint32]
Places = npt.NDArray[np.intp]
Octets = npt.NDArray[np.uint8]
Halves = npt.NDArray[np.uint16]

_LEAST: Final = nl.HEADER.size
_WINDOW: Final = 32  # messages that are compared at first
_SHORT: Final = 16  # a run of fewer messages is short
_PATIENCE: Final = 32  # short runs until the buffer counts as mixed


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """
    Messages of one length in bytes: one a row, header and padding included, and their places in the stream, rising.
    """

    length: int
    rows: Words
    places: slice | Places

    @property
    def octets(self) -> Octets:
        """The rows as bytes."""
        return self.rows.view(np.uint8)

    @property
    def kinds(self) -> Halves:
        """The types of the messages."""
        return self.rows.view(np.uint16)[:, 2]

    @property
    def flags(self) -> Halves:
        """The flags of the messages."""
        return self.rows.view(np.uint16)[:, 3]

    def message(self, row: int) -> bytes:
        """One message, without padding."""
        data: bytes = self.rows[row].tobytes()
        return data[: self.length]

    def only(self, chosen: npt.NDArray[Any]) -> Block:
        """Some of the rows, by a mask or by their numbers in rising order."""
        return Block(self.length, self.rows[chosen], as_places(self.places)[chosen])


def as_places(at: slice | Places) -> Places:
    """
    Places as numbers.
    """
    return np.arange(at.start, at.stop) if isinstance(at, slice) else at


def cut(words: Words, ends: Places) -> list[Block] | None:
    """
    The messages of datagrams that lie back to back from the first word on; `ends` tells where each ends, in words.

    None if messages do not fill the datagrams exactly: then they are to be read one by one.
    """
    runs = _runs(words, int(ends[-1]))
    if runs is None:
        begins = _by_headers(words, ends)
        if begins is None:
            begins = _side_by_side(words, ends)
        return None if begins is None else alike(words, begins, words[begins])
    starts, strides = np.array([run[0] for run in runs]), np.array([run[1] for run in runs])
    run = starts.searchsorted(ends) - 1
    if runs and ((ends - starts[run]) % strides[run]).any():
        return None
    found, place = [], 0
    for at, stride, count in runs:
        rows = words[at : at + stride * count].reshape(count, stride)
        found.append(Block(int(words[at]), rows, slice(place, place + count)))
        place += count
    return found


def alike(words: Words, begins: Places, lengths: Words) -> list[Block]:
    """
    The messages that begin at these words, with these lengths in bytes, as blocks of one length each.
    """
    if not len(begins):
        return []
    length = int(lengths[0])
    stride = (length + 3) >> 2
    at, count = int(begins[0]), len(begins)
    if int(begins[-1]) - at == stride * (count - 1) and bool((lengths == length).all()):
        rows = words[at : at + stride * count].reshape(count, stride)
        return [Block(length, rows, slice(0, count))]
    found = []
    for length in np.unique(lengths).tolist():
        which = np.flatnonzero(lengths == length)
        windows = np.lib.stride_tricks.sliding_window_view(words, (length + 3) >> 2)
        found.append(Block(length, windows[begins[which]], which))
    return found


def _runs(words: Words, end: int) -> list[tuple[int, int, int]] | None:
    """Begin, words and number of the messages of each run; None if there are many short ones, or what is no message."""
    runs: list[tuple[int, int, int]] = []
    at = short = 0
    while at < end:
        length = int(words[at])
        stride = (length + 3) >> 2
        if length < _LEAST or at + stride > end or short > _PATIENCE:
            return None
        count = _run(words, at, stride, end)
        runs.append((at, stride, count))
        at += stride * count
        short += count < _SHORT
    return runs


def _run(words: Words, at: int, stride: int, end: int) -> int:
    most = (end - at) // stride
    count, window = 1, _WINDOW
    while count < most:
        probe = words[at + count * stride : at + min(most, count + window) * stride : stride] != words[at]
        other = int(probe.argmax())
        if probe[other]:
            return count + other
        count += len(probe)
        window *= _WINDOW
    return count


def _by_headers(words: Words, ends: Places) -> Places | None:
    """
    Where each message begins if all have the first one's type, flags and origin, as in a dump; else None. What looks
    like such a header is one only if each message ends where the next begins.
    """
    end = int(ends[-1])
    if end * 4 < _LEAST:
        return None
    alike = (words[1 : end - 2] == words[1]) & (words[2 : end - 1] == words[2]) & (words[3:end] == words[3])
    begins = np.flatnonzero(alike)
    lengths = words[begins]
    after = begins + ((lengths + 3) >> 2)
    if not np.array_equal(after, np.append(begins[1:], end)) or int(lengths.min()) < _LEAST:
        return None
    return begins if (after[after.searchsorted(ends)] == ends).all() else None


def _side_by_side(words: Words, ends: Places) -> Places | None:
    """Where each message begins: one step for the first of each datagram, one for the second, and so on."""
    at, stop = np.concatenate((np.zeros(1, ends.dtype), ends[:-1])), ends
    found = []
    while True:
        left = at < stop
        if not left.all():
            at, stop = at[left], stop[left]
        if not len(at):
            break
        found.append(at)
        lengths = words[at].astype(np.intp)
        at = at + ((lengths + 3) >> 2)
        if bool((lengths < _LEAST).any()) or bool((at > stop).any()):
            return None
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.intp)
