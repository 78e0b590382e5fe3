"""Many route requests of one path, packed without a step for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.prefix import DEFAULT_V4, DEFAULT_V6
from peerway.protocols import netlink as nl
from peerway.protocols.nlstream import Words
from peerway.protocols.rtrequest import RouteTemplate
from peerway.protocols.rtroute import RTMSG

# A template's RTA_DST is the first attribute.
_DST_LEN: Final = nl.HEADER.size + 1  # octet
_ADDRESS: Final = (nl.HEADER.size + RTMSG.size + nl.ATTRIBUTE.size) // 4  # word


def packed(
    template: RouteTemplate, kind: int, flags: int, column: Column, limit: int
) -> Iterator[tuple[Words, Column]]:
    """
    The requests for these prefixes, which must be of the template's family: messages as rows of words, at most
    `limit` bytes at a time (but one message at least), and the prefixes that they are about. The rows are written
    anew for each part. Sequence numbers are the sender's business.
    """
    ipv4 = column.dtype == cl.IPV4
    message = nl.message(kind, flags | nl.NLM_F_REQUEST, 0, template.payload(DEFAULT_V4 if ipv4 else DEFAULT_V6))
    count = max(1, limit // len(message))
    rows = np.tile(np.frombuffer(message, np.uint32), (min(count, len(column)), 1))
    for at in range(0, len(column), count):
        part = column[at : at + count]
        here = rows[: len(part)]
        octets = here.view(np.uint8)
        if ipv4:
            octets[:, _DST_LEN] = part.astype(np.uint8)
            here[:, _ADDRESS] = (part >> np.uint64(8)).astype(">u4").view(np.uint32)
        else:
            prefixes = cl.octets(part)
            octets[:, _DST_LEN] = prefixes[:, 16]
            octets[:, _ADDRESS * 4 : _ADDRESS * 4 + 16] = prefixes[:, :16]
        yield here, part
