"""Columns of prefixes as `allowed_ip=` lines, without a step for each.

The lines are laid out in rows of equal width, with NULs where a number is short, and then the NULs are dropped.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column

GIVE: Final = b"allowed_ip="
TAKE: Final = b"allowed_ip=-"
FEW: Final = 8  # lines that are written one by one as quickly

_HEAD: Final = 12  # bytes of either verb, padded
_GROUP: Final = 5  # bytes of "2001:"


def _words(ending: bytes) -> npt.NDArray[np.uint32]:
    """The numbers 0 to 255 as text, four bytes each."""
    return np.frombuffer(b"".join((b"%d%b" % (number, ending)).ljust(4, b"\0") for number in range(256)), np.uint32)


_DOT: Final = _words(b".")
_SLASH: Final = _words(b"/")
_END: Final = _words(b"\n")
_HEX: Final = np.frombuffer(b"".join(b"%02x" % number for number in range(256)), np.uint16)


def lines(verb: bytes, column: Column) -> bytes:
    """
    One line for each prefix, in order; `verb` is GIVE or TAKE. Lengths that cannot be are written as they are.
    """
    if len(column) <= FEW:
        return _lines_one_by_one(verb, column)
    return _lines_v4(verb, column) if column.dtype == cl.IPV4 else _lines_v6(verb, column)


def _lines_one_by_one(verb: bytes, column: Column) -> bytes:
    if column.dtype == cl.IPV4:
        if len(column) == 1:
            return _line_v4(verb, column.item(0))
        return b"".join([_line_v4(verb, prefix) for prefix in column.tolist()])
    return b"".join([b"%b%b\n" % (verb, px.text(prefix).encode()) for prefix in cl.prefixes(column)])


def _line_v4(verb: bytes, n: int) -> bytes:
    return b"%b%d.%d.%d.%d/%d\n" % (verb, n >> 32, n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255)


def _lines_v4(verb: bytes, column: Column) -> bytes:
    octets = column.astype(">u8").view(np.uint8).reshape(-1, 8)
    rows = np.empty((len(column), 8), np.uint32)
    rows[:, :3] = np.frombuffer(verb.ljust(_HEAD, b"\0"), np.uint32)
    rows[:, 3] = _DOT[octets[:, 3]]
    rows[:, 4] = _DOT[octets[:, 4]]
    rows[:, 5] = _DOT[octets[:, 5]]
    rows[:, 6] = _SLASH[octets[:, 6]]
    rows[:, 7] = _END[octets[:, 7]]
    return rows.tobytes().translate(None, b"\0")


def _lines_v6(verb: bytes, column: Column) -> bytes:
    # Each group has four digits. What is zero at the end in all rows is left out; most prefixes end in the first half.
    octets = cl.octets(column)
    used = np.flatnonzero(octets[:, :16].any(axis=0))
    groups = int(used[-1]) // 2 + 1 if len(used) else 0
    before = b":" * _GROUP * groups + b":" if groups < 8 else b":" * (_GROUP * groups - 1)
    row = verb.ljust(_HEAD, b"\0") + (before if groups else b"::") + b"/" + bytes(4)
    rows = np.empty((len(column), len(row)), np.uint8)
    rows[:] = np.frombuffer(row, np.uint8)
    for group in range(groups):
        at = _HEAD + _GROUP * group
        rows[:, at : at + 4] = _HEX[octets[:, 2 * group : 2 * group + 2]].view(np.uint8)
    rows[:, -4:] = _END[octets[:, 16]].view(np.uint8).reshape(-1, 4)
    return rows.tobytes().translate(None, b"\0")
