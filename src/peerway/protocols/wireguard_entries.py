"""AllowedIPs as the kernel's nests, read and written in columns (linux/wireguard.h, WGALLOWEDIP_A_*).

Each entry is a nest of prefix length, family and address. All but length and address is the same in each entry of a
family, so a run of equal entries is a table whose other bytes are compared at once.
"""

from __future__ import annotations

import sys
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.prefix import Prefix
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

WGALLOWEDIP_A_FAMILY: Final = 1
WGALLOWEDIP_A_IPADDR: Final = 2
WGALLOWEDIP_A_CIDR_MASK: Final = 3
WGALLOWEDIP_A_FLAGS: Final = 4
WGALLOWEDIP_F_REMOVE_ME: Final = 1  # since Linux 6.16; EINVAL before

Octets = npt.NDArray[np.uint8]

RUN: Final = 16  # entries of one family in a row, after which more are expected
_BITS: Final = 8  # where the length stands in an entry
_ADDRESS: Final = 24
_SIZE: Final = {px.AF_INET: 4, px.AF_INET6: 16}
_FLAG: Final = nl.attribute_u32(WGALLOWEDIP_A_FLAGS, WGALLOWEDIP_F_REMOVE_ME)


def _template(family: int, flag: bytes = b"") -> Octets:
    parts = (
        nl.attribute_u8(WGALLOWEDIP_A_CIDR_MASK, 0),
        nl.attribute(WGALLOWEDIP_A_FAMILY, family.to_bytes(2, sys.byteorder)),
        nl.attribute(WGALLOWEDIP_A_IPADDR, bytes(_SIZE[family])),
        flag,
    )
    return np.frombuffer(nl.nested(0, *parts), np.uint8)


def _fixed(template: Octets, family: int) -> npt.NDArray[np.bool_]:
    fixed = np.ones(len(template), np.bool_)
    fixed[_BITS] = False
    fixed[_ADDRESS : _ADDRESS + _SIZE[family]] = False
    return fixed


_GIVE: Final = {family: _template(family) for family in _SIZE}
_TAKE: Final = {family: _template(family, _FLAG) for family in _SIZE}
_FIXED: Final = {family: np.flatnonzero(_fixed(_GIVE[family], family)) for family in _SIZE}
_SAME: Final = {family: _GIVE[family][_FIXED[family]] for family in _SIZE}
_HEADS: Final = {family: _GIVE[family][:4].tobytes() for family in _SIZE}
_MASKS: Final = {
    family: np.frombuffer(
        b"".join(((1 << 8 * size) - (1 << (8 * size - bits))).to_bytes(size, "big") for bits in range(8 * size + 1)),
        np.uint8,
    ).reshape(-1, size)
    for family, size in _SIZE.items()
}


def write(column: Column, *, take: bool = False) -> bytes:
    """
    The entries that give these prefixes, or that take them.
    """
    family = cl.family(column)
    template = (_TAKE if take else _GIVE)[family]
    rows = np.empty((len(column), len(template)), np.uint8)
    rows[:] = template
    if family == px.AF_INET:
        octets = column.astype(">u8").view(np.uint8).reshape(-1, 8)
        rows[:, _BITS] = octets[:, 7]
        rows[:, _ADDRESS : _ADDRESS + 4] = octets[:, 3:7]
    else:
        octets = cl.octets(column)
        rows[:, _BITS] = octets[:, 16]
        rows[:, _ADDRESS : _ADDRESS + 16] = octets[:, :16]
    return rows.tobytes()


def read(nest: nl.Buffer) -> tuple[Column, Column]:
    """
    The IPv4 and the IPv6 prefixes of a peer, as they were told. Host bits are cleared. Raises RemoteProtocolError.
    """
    found: dict[int, list[Column]] = {family: [] for family in _SIZE}
    single: dict[int, list[Prefix]] = {family: [] for family in _SIZE}
    view, at, run, last = memoryview(nest), 0, RUN, -1
    while at < len(view):
        if run >= RUN:
            run = 0
            for family in _SIZE:
                rows = _run(view[at:], family)
                if len(rows):
                    _flush(single, found)
                    found[family].append(_column(rows, family))
                    at += rows.size
                    break
            else:
                last = -1
            if at >= len(view):
                break
        _, value = next(nl.walk(view[at:]))
        prefix = _prefix(nl.attributes(value))
        family = px.family(prefix)
        single[family].append(prefix)
        run, last = (run + 1 if family == last else 1), family
        at += nl.aligned(len(value) + 4)
    _flush(single, found)
    v4, v6 = (np.concatenate([cl.none(family), *found[family]]) for family in _SIZE)
    return v4, v6


def _flush(single: dict[int, list[Prefix]], found: dict[int, list[Column]]) -> None:
    for family, prefixes in single.items():
        if prefixes:
            found[family].append(cl.make(family, prefixes))
            single[family] = []


def _run(view: memoryview, family: int) -> Octets:
    """The entries at the beginning that are laid out as the kernel lays them out today."""
    size = len(_GIVE[family])
    if bytes(view[:4]) != _HEADS[family]:
        return np.empty((0, size), np.uint8)
    count = len(view) // size
    rows = np.frombuffer(view[: count * size], np.uint8).reshape(count, size)
    fine = (rows[:, _FIXED[family]] == _SAME[family]).all(axis=1) & (rows[:, _BITS] <= 8 * _SIZE[family])
    return rows if fine.all() else rows[: int(fine.argmin())]


def _column(rows: Octets, family: int) -> Column:
    size = _SIZE[family]
    bits = rows[:, _BITS]
    address = rows[:, _ADDRESS : _ADDRESS + size] & _MASKS[family][bits]
    if family == px.AF_INET:
        number = np.ascontiguousarray(address).view(">u4").reshape(-1).astype(np.uint64)
        return cast("Column", number << 8 | bits)
    packed = np.empty((len(rows), cl.WIDTH), np.uint8)
    packed[:, :16] = address
    packed[:, 16] = bits
    return packed.view(cl.IPV6).reshape(-1)


def _prefix(found: dict[int, memoryview]) -> Prefix:
    try:
        family = nl.u16(found[WGALLOWEDIP_A_FAMILY])
        address = bytes(found[WGALLOWEDIP_A_IPADDR])
        length = nl.u8(found[WGALLOWEDIP_A_CIDR_MASK])
    except KeyError:
        raise RemoteProtocolError("wireguard: an allowed IP lacks an attribute") from None
    size = _SIZE.get(family)
    if size is None or len(address) != size or length > 8 * size:
        raise RemoteProtocolError(f"wireguard: an allowed IP of family {family} has {len(address)} bytes and /{length}")
    return px.make(family, address, length)
