"""Which route notifications are of no interest, as a program that the kernel runs before it queues them.

Dropped is only what the model would ignore anyway (Rib.apply in model/rib.py), given that a path is relevant only if
it may leave through one of the interfaces that are named here:

- Table local, always: ChangeReader leaves it out whatever it says.
- A new route through another interface, unless it replaces. The model keeps no such path. Paths of ours with the same
  prefix stay as they are: with NLM_F_EXCL none of the same metric stands there; else in IPv4 the new one is in front
  of or behind them, and in IPv6 a next hop beside one of ours is told as the whole multipath route, with RTA_MULTIPATH
  and without RTA_OIF. NLM_F_CREATE is demanded, so that notifications of an unknown sort pass.
- A deleted IPv4 route through another interface: the model has no such path, and the others keep their order.
- A deleted IPv6 route through another interface without a gateway: it is never a part of a multipath route.
- A new route that came from one port id: that of our own socket for routes in bulk, which knows what it added
  (model/unheard.py). A notification has the port id of the socket that asked, which only the kernel can write there.

So these pass, among others: a replacement, because it may take a route of ours away and does not name it; a deleted
IPv6 next hop with a gateway, because the route that it was a part of may have one of ours left; each route on a
nexthop object, for the object may become ours; each multipath route; each that names no interface.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

from peerway.model.prefix import AF_INET, AF_INET6
from peerway.model.route import RT_TABLE_LOCAL
from peerway.protocols import bpf, rtroute
from peerway.protocols import netlink as nl
from peerway.protocols.bpf import Statement

MOST: Final = 64
"""Interfaces in one filter."""

_PORT: Final = 12
_FAMILY: Final = nl.HEADER.size
_TABLE: Final = nl.HEADER.size + 4
_ATTRIBUTES: Final = nl.HEADER.size + rtroute.RTMSG.size
_HIGH_FLAGS: Final = 7 if sys.byteorder == "little" else 6  # REPLACE, EXCL, CREATE and APPEND


def of(interfaces: Collection[int], unheard: int) -> tuple[int, bytes]:
    """
    The filter for interfaces of interest (at most MOST; none: all are) and for the port id whose new routes are not
    heard: how many instructions, and those.
    """
    return bpf.assemble(
        [
            *_one_message(),
            (bpf.LD_H, 4),
            (bpf.JEQ, bpf.turned(rtroute.RTM_NEWROUTE, 2), "new", ""),
            (bpf.JEQ, bpf.turned(rtroute.RTM_DELROUTE, 2), "deleted", "pass"),
            "new",
            (bpf.LD_W, _PORT),
            (bpf.JEQ, bpf.turned(unheard, 4), "drop", "" if interfaces else "pass"),
            *(_through_others(interfaces) if interfaces else ["deleted"]),
            "pass",
            (bpf.RET, bpf.ALL),
            "drop",
            (bpf.RET, 0),
        ]
    )


def _through_others(interfaces: Collection[int]) -> list[Statement]:
    return [
        (bpf.LD_B, _TABLE),
        (bpf.JEQ, RT_TABLE_LOCAL, "drop", ""),
        (bpf.LD_B, _HIGH_FLAGS),
        (bpf.JSET, nl.NLM_F_REPLACE >> 8, "pass", ""),
        (bpf.JSET, nl.NLM_F_CREATE >> 8, "", "pass"),
        (bpf.LD_B, _FAMILY),
        (bpf.JEQ, AF_INET, "interface", ""),
        (bpf.JEQ, AF_INET6, "interface", "pass"),
        "deleted",
        (bpf.LD_B, _TABLE),
        (bpf.JEQ, RT_TABLE_LOCAL, "drop", ""),
        (bpf.LD_B, _FAMILY),
        (bpf.JEQ, AF_INET, "interface", ""),
        (bpf.JEQ, AF_INET6, "", "pass"),
        *_without(rtroute.RTA_GATEWAY),
        *_without(rtroute.RTA_VIA),
        "interface",
        *_without(rtroute.RTA_NH_ID),
        *_without(rtroute.RTA_MULTIPATH),
        *_find(rtroute.RTA_OIF),
        (bpf.JEQ, 0, "pass", ""),
        (bpf.TAX, 0),
        (bpf.LD_H_X, 0),
        (bpf.JEQ, bpf.turned(8, 2), "", "pass"),
        (bpf.LD_W_X, 4),
        *((bpf.JEQ, bpf.turned(interface, 4), "pass", "") for interface in sorted(interfaces)),
        (bpf.RET, 0),
    ]


def _one_message() -> list[Statement]:
    """Pass what is too short for a route, since a load beyond the end drops, and what is more than one message."""
    least: Statement = (bpf.JGE, _ATTRIBUTES, "", "pass")
    if sys.byteorder == "big":
        return [(bpf.LD_LEN, 0), least, (bpf.LD_W, 0), (bpf.TAX, 0), (bpf.LD_LEN, 0), (bpf.JEQ_X, 0, "", "pass")]
    return [
        (bpf.LD_LEN, 0),
        least,
        (bpf.LD_B, 0),
        (bpf.TAX, 0),
        (bpf.LD_B, 1),
        (bpf.LSH, 8),
        (bpf.OR_X, 0),
        (bpf.TAX, 0),
        (bpf.LD_LEN, 0),
        (bpf.JEQ_X, 0, "", "pass"),
    ]


def _find(attribute: int) -> list[Statement]:
    return [(bpf.LD_K, _ATTRIBUTES), (bpf.LDX_K, attribute), (bpf.LD_W, bpf.NLATTR)]


def _without(attribute: int) -> list[Statement]:
    return [*_find(attribute), (bpf.JEQ, 0, "", "pass")]
