"""AllowedIPs cut into what one request says, so that others at the device and in the event loop have their turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

from peerway.model.device import Group

Chunk = Sequence[Group]
"""What one request says: at least one prefix, groups of one peer beside each other."""


def chunks(groups: Iterable[Group], prefix_cost: int, peer_cost: int, budget: int) -> Iterator[Chunk]:
    """
    Cut groups into requests of at most `budget`, ordered by peer.
    """
    ordered = [group for group in groups if len(group[1])]
    if len(ordered) > 1:
        ordered.sort(key=itemgetter(0))
    if prefix_cost * sum([len(column) for _, column in ordered]) + peer_cost * len(ordered) <= budget:
        if ordered:
            yield ordered
        return
    chunk: list[Group] = []
    left, last = budget, None
    for key, column in ordered:
        at = 0
        while at < len(column):
            if key != last:
                left -= peer_cost
            count = left // prefix_cost
            if count < 1 and chunk:
                yield chunk
                chunk, left, last = [], budget, None
                continue
            chunk.append((key, column[at : at + max(count, 1)]))
            left -= prefix_cost * len(chunk[-1][1])
            at, last = at + max(count, 1), key
    if chunk:
        yield chunk


def halves(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """
    The first and the second half of a chunk of at least two prefixes.
    """
    left = sum(len(column) for _, column in chunk) // 2
    first: list[Group] = []
    second: list[Group] = []
    for key, column in chunk:
        cut = min(max(left, 0), len(column))
        if cut:
            first.append((key, column[:cut]))
        if cut < len(column):
            second.append((key, column[cut:]))
        left -= cut
    return first, second


class Ahead:
    """
    Draws the next chunk and writes its request, once: when there is time, or when it is needed.
    """

    def __init__(self, write: Callable[[Chunk], bytes], chunks: Iterator[Chunk]) -> None:
        self._write, self._chunks = write, chunks
        self._drawn: tuple[Chunk | None, bytes] | None = None

    def __call__(self) -> None:
        """
        There is time.
        """
        if self._drawn is None:
            chunk = next(self._chunks, None)
            self._drawn = chunk, self._write(chunk) if chunk else b""

    def drawn(self) -> tuple[Chunk | None, bytes]:
        """
        The chunk and its request, None if there is no other.
        """
        self()
        return self._drawn or (None, b"")
