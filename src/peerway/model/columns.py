"""Prefixes in columns: flat arrays, one family each, no object per prefix.

IPv4: uint64, the same number as a Prefix. IPv6: 17 bytes, the address and the length, whose order as bytes is that of
Prefix too. Columns are never changed in place, so they may be shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from peerway.model.prefix import AF_INET, AF_INET6, V6, Prefix

Column = npt.NDArray[Any]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Places = tuple[npt.NDArray[np.intp], Mask]
"""Where prefixes stand in a column, and whether they do."""

WIDTH: Final = 17
IPV4: Final = np.dtype(np.uint64)
IPV6: Final = np.dtype(f"S{WIDTH}")
DTYPE: Final = {AF_INET: IPV4, AF_INET6: IPV6}
FAMILIES: Final = (AF_INET, AF_INET6)
PART: Final = 4096  # rows that become objects at a time
DENSE: Final = 4  # where one of so many prefixes is wanted, to merge is quicker than to search

_asked: tuple[Column, dict[int, tuple[Column, Places]]] = np.empty(0, IPV4), {}
"""The prefixes that `place` was asked for last, and its answers by identity of a column, which stands with its own: the
same is asked of one table after the other, and many of them share a column."""


def family(column: Column) -> int:
    """
    AF_INET or AF_INET6.
    """
    return AF_INET if column.dtype == IPV4 else AF_INET6


def none(of: int) -> Column:
    """
    A column of no prefixes of a family.
    """
    return np.empty(0, DTYPE[of])


def make(of: int, prefixes: Sequence[Prefix]) -> Column:
    """
    Prefixes of one family, in their order.
    """
    if of == AF_INET:
        return np.array(prefixes, IPV4)
    return np.frombuffer(b"".join([(prefix ^ V6).to_bytes(WIDTH, "big") for prefix in prefixes]), IPV6)


def one(prefix: Prefix) -> Column:
    """
    A column of one prefix.
    """
    return make(AF_INET if prefix < V6 else AF_INET6, (prefix,))


def columns(prefixes: Iterable[Prefix]) -> list[Column]:
    """
    Prefixes as sorted columns without doubles, one for each family that has any.
    """
    unique = sorted(set(prefixes))
    cut = next((i for i, prefix in enumerate(unique) if prefix & V6), len(unique))
    halves = (AF_INET, unique[:cut]), (AF_INET6, unique[cut:])
    return [make(of, half) for of, half in halves if half]


def prefixes(column: Column) -> list[Prefix]:
    """
    A column as Prefix objects.
    """
    if column.dtype == IPV4:
        return cast("list[Prefix]", column.tolist())
    raw = column.tobytes()
    number = int.from_bytes
    return [Prefix(V6 | number(raw[at : at + WIDTH], "big")) for at in range(0, len(raw), WIDTH)]


def each(column: Column) -> Iterator[Prefix]:
    """
    The prefixes of a column one by one, without a list of all.
    """
    for at in range(0, len(column), PART):
        yield from prefixes(column[at : at + PART])


def first(column: Column) -> Prefix:
    """
    The first prefix of a column that has one.
    """
    if column.dtype == IPV4:
        number: Prefix = column.item(0)
        return number
    return Prefix(V6 | int.from_bytes(column[:1].tobytes(), "big"))


def octets(column: Column) -> npt.NDArray[np.uint8]:
    """
    An IPv6 column as a table of bytes, 17 a row.
    """
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, WIDTH)


def lengths(column: Column) -> npt.NDArray[np.uint8]:
    """
    The prefix lengths.
    """
    return column.astype(np.uint8) if column.dtype == IPV4 else octets(column)[:, 16]


def hosts(column: Column) -> Mask:
    """
    Which prefixes stand for one address.
    """
    return cast("Mask", lengths(column) == (32 if column.dtype == IPV4 else 128))


def inside(column: Column, outer: Prefix) -> Mask:
    """
    Which prefixes lie in another prefix of either family; it contains itself.
    """
    of = AF_INET6 if outer & V6 else AF_INET
    if of != family(column):
        return np.zeros(len(column), np.bool_)
    bits = 128 if outer & V6 else 32
    last = Prefix(outer | ((1 << (bits - (outer & 0xFF))) - 1) << 8 | 0xFF)
    first_key, last_key = make(of, [Prefix(outer >> 8 << 8), last])
    return cast("Mask", (column >= first_key) & (column <= last_key) & (lengths(column) >= (outer & 0xFF)))


def unique(column: Column) -> Column:
    """
    Sorted, without doubles; the same column if it is so already.
    """
    if len(column) < 2 or bool((column[1:] > column[:-1]).all()):
        return column
    return _without_doubles(np.sort(column))


def _without_doubles(column: Column) -> Column:
    fresh = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=fresh[1:])
    return column[fresh]


def same(one: Column, other: Column) -> bool:
    """
    Whether two columns hold the same prefixes in the same order.
    """
    return one is other or (len(one) == len(other) and bool((one == other).all()))


def chosen(column: Column, mask: Mask) -> Column:
    """
    Some of a column; the same column if that is all.
    """
    return column if mask.all() else column[mask]


def pick(sorted_column: Column, mask: Mask) -> Column:
    """
    The same, of a column that is asked soon where they stand in it.
    """
    part = chosen(sorted_column, mask)
    if len(part):
        _answers(part)[id(sorted_column)] = sorted_column, (np.flatnonzero(mask), np.ones(len(part), np.bool_))
    return part


def forget() -> None:
    """
    Give back the memory of what was asked for last.
    """
    _answers(none(AF_INET))


def place(sorted_column: Column, wanted: Column) -> Places:
    """
    Where each wanted prefix stands in a sorted column, and whether it is there. Not to be changed.
    """
    answers = _answers(wanted)
    if id(sorted_column) not in answers:
        answers[id(sorted_column)] = sorted_column, _place(sorted_column, wanted)
    return answers[id(sorted_column)][1]


def _answers(wanted: Column) -> dict[int, tuple[Column, Places]]:
    """What was found out about these prefixes, which are those that were asked for last from now on."""
    global _asked  # noqa: PLW0603 - it holds nothing that cannot be found again
    last, answers = _asked
    if last is not wanted:
        answers = {}
        _asked = wanted, answers
    return answers


def _place(sorted_column: Column, wanted: Column) -> Places:
    if wanted is sorted_column:
        return np.arange(len(wanted)), np.ones(len(wanted), np.bool_)
    if not len(sorted_column):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    if same(sorted_column, wanted):
        return np.arange(len(wanted)), np.ones(len(wanted), np.bool_)
    if len(wanted) * DENSE > len(sorted_column) and wanted.dtype == IPV4 and bool((wanted[1:] > wanted[:-1]).all()):
        at = _merge_places(sorted_column, wanted)
    else:
        at = sorted_column.searchsorted(wanted)
        np.minimum(at, len(sorted_column) - 1, out=at)
    return at, cast("Mask", sorted_column[at] == wanted)


def _merge_places(column: Column, wanted: Column) -> npt.NDArray[np.intp]:
    """Where each wanted prefix stands in a sorted column, if it does: both are merged, which is a stable sort."""
    order = np.argsort(np.concatenate((column, wanted)), kind="stable")
    at = np.flatnonzero(order >= len(column))
    at -= np.arange(1, len(wanted) + 1)  # as many stand before it, or are the same, but for the last of them
    return np.maximum(at, 0, out=at)


def merged(one: Column, other: Column) -> Column:
    """
    The union of two sorted columns without doubles.
    """
    if not len(one) or one is other:
        return other
    if not len(other):
        return one
    if same(one, other):
        return one
    return _without_doubles(np.sort(np.concatenate((one, other)), kind="stable"))


def union(columns: Sequence[Column]) -> Column:
    """
    The union of several sorted columns of one family.
    """
    if len(columns) < 3:
        return merged(columns[0], columns[-1])
    return unique(np.sort(np.concatenate(columns), kind="stable"))


def without(one: Column, gone: Column) -> Column:
    """
    A sorted column less the prefixes of another.
    """
    if not len(gone) or not len(one):
        return one
    _, found = place(gone, one)
    return one[~found] if found.any() else one
