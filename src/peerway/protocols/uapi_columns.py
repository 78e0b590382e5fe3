"""`allowed_ip=` lines as columns of prefixes, without a step for each.

A unit of text is cut at its separators all at once, and the numbers between them are read column by column. What is
not written as WireGuards write it today is not read here, but refused with `OddError`: a slower reader decides.
"""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column, Mask

Octets = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]

HEAD: Final = b"allowed_ip="
SHORTEST: Final = len(b"allowed_ip=::/0")

_NOUGHT: Final = np.uint8(48)
_NEWLINE, _DOT, _SLASH, _COLON, _ZERO = b"\n./:0"
_MARKS_V4: Final = np.frombuffer(b".../\n", np.uint8)
_MOST_V4: Final = np.array([255, 255, 255, 255, 32], np.uint16)
_LEAST: Final = np.array([256, 0, 10, 100], np.uint16)  # of a number of so many digits; no leading zeros
_SHOWN: Final = np.array([0, 0xFF0000, 0xFFFF00, 0xFFFFFF], np.uint32)  # the last digits of three
_NET_V4: Final = np.array([(1 << 40) - (1 << (40 - bits)) | 0xFF for bits in range(33)], np.uint64)
_NET_V6: Final = np.frombuffer(
    b"".join(((1 << 128) - (1 << (128 - bits))).to_bytes(16, "big") for bits in range(129)), np.uint8
).reshape(129, 16)
_DIGIT: Final = np.full(256, 255, np.uint8)
_DIGIT[list(b"0123456789abcdef")] = range(16)
_DIGIT[list(b"ABCDEF")] = range(10, 16)
_PART_V6: Final = np.zeros(256, np.bool_)
_PART_V6[list(b":/\n")] = True


class OddError(ValueError):
    """The text is not what WireGuards write today; it may still be right."""


def read(text: bytes) -> tuple[Column, Column]:
    """
    The IPv4 and the IPv6 prefixes of whole lines, in their order. Host bits are cleared. Raises OddError.
    """
    raw = np.frombuffer(text, np.uint8)
    cuts = np.flatnonzero(raw < _ZERO)  # dots, slashes, ends of lines
    ends = np.flatnonzero(raw[cuts] == _NEWLINE)
    last = cuts[ends]
    starts = np.concatenate((last[:1] * 0, last[:-1] + 1))
    _check((last - starts >= SHORTEST).all())
    _check(
        (_eight(raw)[starts] == _eight(HEAD[:8])[0]).all() and (_eight(raw)[starts + 3] == _eight(HEAD[3:])[0]).all()
    )
    cut = np.diff(ends, prepend=-1)
    is_v4 = cut == 5
    if is_v4.all():
        return _read_v4(raw, cuts), cl.none(px.AF_INET6)
    is_v6 = cut == 2
    if is_v6.all():
        return cl.none(px.AF_INET), _read_v6(raw, starts)
    _check((is_v4 | is_v6).all())
    of_v4 = np.repeat(is_v4, last + 1 - starts)
    return read(raw[of_v4].tobytes())[0], read(raw[~of_v4].tobytes())[1]


def _check(fine: Any) -> None:
    if not fine:
        raise OddError


def _eight(raw: bytes | Octets) -> npt.NDArray[np.uint64]:
    """Eight bytes from each place on."""
    return np.ndarray(
        (len(raw) - 7,), np.uint64, np.ascontiguousarray(raw) if isinstance(raw, np.ndarray) else raw, 0, (1,)
    )


def _numbers(raw: Octets, ends: Places, sizes: Places, most: Any) -> npt.NDArray[np.uint32]:
    """Decimal numbers of one to three digits that stand before `ends`."""
    _check(sizes.min() >= 1 and sizes.max() <= 3)
    four = np.ndarray((len(raw) - 3,), np.dtype("<u4"), raw, 0, (1,))
    digits = (four[ends - 3] ^ np.uint32(0x303030)) & _SHOWN[sizes]
    _check(not (((digits + np.uint32(0x767676)) | digits) & np.uint32(0x808080)).any())
    numbers = (digits & 15) * np.uint32(100) + (digits >> 8 & 15) * np.uint32(10) + (digits >> 16)
    _check((numbers <= most).all() and (numbers >= _LEAST[sizes]).all())
    return cast("npt.NDArray[np.uint32]", numbers)


def _read_v4(raw: Octets, cuts: Places) -> Column:
    """Five numbers a line; each is checked and put together from single digits, which are gathered for all at once."""
    _check((raw.take(cuts).reshape(-1, 5) == _MARKS_V4).all())
    sizes = np.diff(cuts, prepend=-1) - 1
    sizes[::5] -= len(HEAD)
    _check(sizes.min() >= 1 and sizes.max() <= 3)
    shown = sizes.astype(np.uint8)
    ones = raw.take(cuts - 1) - _NOUGHT
    tens = (raw.take(cuts - 2) - _NOUGHT) * (shown > 1)
    hundreds = (raw.take(cuts - 3) - _NOUGHT) * (shown > 2)
    _check(max(ones.max(), tens.max(), hundreds.max()) < 10)
    numbers = (tens * np.uint8(10) + ones).astype(np.uint16)
    numbers += hundreds.astype(np.uint16) * np.uint16(100)
    lines = numbers.reshape(-1, 5)
    _check((lines <= _MOST_V4).all() and (numbers >= _LEAST.take(shown)).all())
    octets = np.zeros((len(lines), 8), np.uint8)
    octets[:, 3:] = lines
    column: Column = octets.view(">u8").reshape(-1).astype(np.uint64)
    column &= _NET_V4.take(octets[:, 7])
    return column


def _read_v6(raw: Octets, starts: Places) -> Column:
    ends = np.flatnonzero(_PART_V6[raw])  # of the groups, empty ones too, and of the length
    marks = raw[ends]
    lasts = np.flatnonzero(marks == _NEWLINE)
    _check((marks[lasts - 1] == _SLASH).all())
    firsts = np.concatenate((lasts[:1] * 0, lasts[:-1] + 1))
    begins = np.concatenate((ends[:1], ends[:-1] + 1))
    begins[firsts] = starts + len(HEAD)
    sizes = ends - begins
    bits = _numbers(raw, ends[lasts], sizes[lasts], 128)

    groups = lasts - firsts  # of each line, counting empty ones
    line = np.repeat(np.arange(len(lasts)), groups + 1)
    order = np.arange(len(ends)) - firsts[line]
    is_group = order < groups[line]
    empty = is_group & (sizes == 0)
    _check_gaps(empty, order, firsts, groups)

    filled = np.flatnonzero(is_group & ~empty)
    value = _hexadecimal(raw, ends[filled], sizes[filled])
    gaps = np.cumsum(empty)
    behind = (gaps - (gaps[firsts] - empty[firsts])[line])[filled] > 0
    line, order = line[filled], order[filled]
    table = np.zeros((len(lasts), 8), np.dtype(">u2"))
    table[line, np.where(behind, 8 - groups[line] + order, order)] = value

    rows = np.empty((len(lasts), cl.WIDTH), np.uint8)
    rows[:, :16] = table.view(np.uint8).reshape(-1, 16) & _NET_V6[bits]
    rows[:, 16] = bits
    return rows.view(cl.IPV6).reshape(-1)


def _check_gaps(empty: Mask, order: Places, firsts: Places, groups: Places) -> None:
    """Each line has eight groups, or fewer and one `::`, which shows as empty groups: two at an edge, or one inside."""
    gaps = np.add.reduceat(empty, firsts, dtype=np.intp)
    first = np.minimum.reduceat(np.where(empty, order, 99), firsts)
    last = np.maximum.reduceat(np.where(empty, order, -1), firsts)
    at_edge = ((first == 0) & (last == 1)) | ((first == groups - 2) & (last == groups - 1))
    fine = (
        ((gaps == 0) & (groups == 8))
        | ((gaps == 1) & (first > 0) & (last < groups - 1) & (groups <= 8))
        | ((gaps == 2) & at_edge & (groups >= 3) & (groups <= 9))
        | ((gaps == 3) & (groups == 3))
    )
    _check(fine.all())


def _hexadecimal(raw: Octets, ends: Places, sizes: Places) -> npt.NDArray[np.uint16]:
    value = np.zeros(len(ends), np.uint16)
    _check(not len(sizes) or sizes.max() <= 4)
    for place in range(4):
        shown = sizes > place
        digit = np.where(shown, _DIGIT[raw[ends - 1 - place]], np.uint8(0))
        _check((digit < 16).all())
        value |= digit.astype(np.uint16) << np.uint16(4 * place)
    return value
