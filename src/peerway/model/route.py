"""Routes, as rtnetlink(7) tells them, cut in two: the prefix, and everything else.

Many routes differ only in their prefix, so "everything else" is one shared, interned object: a `Path`. A table of a
million routes over 256 peers holds a few hundred paths. Decisions are made once per path and used for each prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from peerway.model.columns import Codes, Column
from peerway.model.prefix import Prefix

RTN_UNICAST: Final = 1
RTPROT_KERNEL: Final = 2
RTPROT_STATIC: Final = 4
RT_TABLE_MAIN: Final = 254
RT_TABLE_LOCAL: Final = 255
RT_SCOPE_UNIVERSE: Final = 0
RT_SCOPE_LINK: Final = 253


@dataclass(frozen=True, slots=True)
class NextHop:
    """
    One next hop: an interface, and a gateway as host-length prefix (of either family: RTA_GATEWAY or RTA_VIA).

    `weight` counts from 1 (rtnh_hops + 1).
    """

    ifindex: int
    gateway: Prefix | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Path:
    """
    A route without its prefix. Where `nexthop_id` names a nexthop object (RTA_NH_ID), `nexthops` is empty, also when
    the kernel tells them (net.ipv4.nexthop_compat_mode): the object alone says where the route goes at this moment.

    `source` is the source prefix of a source-specific IPv6 route (RTA_SRC).
    """

    table: int
    protocol: int
    metric: int
    nexthops: tuple[NextHop, ...] = ()
    nexthop_id: int = 0
    type: int = RTN_UNICAST
    scope: int = RT_SCOPE_UNIVERSE
    tos: int = 0
    source: Prefix | None = None


class RouteChangeKind(Enum):
    """
    What a notification says of a route, from its type and flags (facts: fib_table_insert, inet6_rt_notify).
    """

    ADDED = "added"  # NLM_F_EXCL: nothing else stood at this prefix, table, tos and metric; also each dumped route
    APPENDED = "appended"  # NLM_F_APPEND: behind others (IPv4), or the whole merged multipath route (IPv6)
    PREPENDED = "prepended"  # NLM_F_CREATE alone: before others
    REPLACED = "replaced"  # NLM_F_REPLACE: in the place of the first (IPv4) or of all (IPv6)
    DELETED = "deleted"


class RouteChange(NamedTuple):
    """
    One RTM_NEWROUTE or RTM_DELROUTE notification.
    """

    kind: RouteChangeKind
    prefix: Prefix
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class RouteColumns:
    """
    Many routes of one family, as they were told: `codes` are places in `paths`; a prefix may come more than once.

    `kinds` are places in KINDS, one for each row of a burst of notifications; None for a dump.
    """

    column: Column
    codes: Codes
    paths: Sequence[Path]
    kinds: Codes | None = None


KINDS: Final = tuple(RouteChangeKind)
RouteGroup = tuple[Path, Column]
"""Routes of one family that differ only in their prefix: sorted, without doubles."""


@dataclass(frozen=True, slots=True)
class NexthopObject:
    """
    A nexthop object (RTM_NEWNEXTHOP): one next hop, or a group of (id, weight); weight counts from 1.
    """

    id: int
    nexthop: NextHop | None = None  # None for a group, and for a blackhole
    group: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class NexthopChange:
    """
    A nexthop object was added or replaced, or deleted (`object` is None).
    """

    id: int
    object: NexthopObject | None
