"""Many requests in one datagram, and what the kernel refused of them.

The kernel tells each error without being asked, in order, and the acknowledgement of the last request is the end. A
batch is small enough for all answers to fit in the receive buffer even if all fail, so silence means success.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from typing_extensions import Buffer

from peerway.backends.netlink import NetlinkSocket
from peerway.protocols import netlink as nl
from peerway.protocols.nlstream import Words

Request = tuple[int, int, bytes]
"""Type, flags (NLM_F_REQUEST is added) and payload of a message to send."""
Refused = dict[int, tuple[int, str]]
"""Error number and words of each request that was refused, by its place."""

_BYTES: Final = 1 << 16  # of a datagram
_LEAST: Final = 44  # bytes of a request for a route, at least


def send(sock: NetlinkSocket, requests: Sequence[Request], *, fine: Collection[int] = ()) -> Refused:
    """
    Send requests that have no reply but success or failure, as many to a datagram as fit. One that fails does not
    stop the others; errors that are `fine` are left out. Raises OSError if the socket itself fails.
    """
    refused: Refused = {}
    at = 0
    while at < len(requests):
        part = requests[at : at + _fitting(sock, requests, at)]
        first = sock.next_seq(len(part))
        seqs = range(first, first + len(part))
        data = b"".join(
            nl.message(kind, flags | nl.NLM_F_REQUEST | (nl.NLM_F_ACK if seq == seqs[-1] else 0), seq, payload)
            for seq, (kind, flags, payload) in zip(seqs, part, strict=True)
        )
        for place, answer in _exchange(sock, data, seqs, fine).items():
            refused[at + place] = answer
        at += len(part)
    return refused


def limit(sock: NetlinkSocket) -> int:
    """
    How many bytes of requests `send_rows` takes.
    """
    return min(_BYTES, sock.answers * _LEAST)


def send_rows(sock: NetlinkSocket, rows: Words, *, fine: Collection[int] = ()) -> Refused:
    """
    Send requests of equal length that are packed already, one a row, in one datagram. Their sequence numbers are
    written here. Raises OSError if the socket itself fails.
    """
    first = sock.next_seq(len(rows))
    rows[:, 2] = np.arange(first, first + len(rows), dtype=np.uint32)
    flags = rows.view(np.uint16)[:, 3]
    usual = flags[-1]
    flags[-1] |= nl.NLM_F_ACK
    try:
        return _exchange(sock, rows.data, range(first, first + len(rows)), fine)
    finally:
        flags[-1] = usual


def _fitting(sock: NetlinkSocket, requests: Sequence[Request], at: int) -> int:
    if len(requests) == 1:
        return 1
    size = count = 0
    for _, _, payload in requests[at : at + sock.answers]:
        size += nl.HEADER.size + nl.aligned(len(payload))
        if count and size > _BYTES:
            break
        count += 1
    return count


def _exchange(sock: NetlinkSocket, data: Buffer, seqs: range, fine: Collection[int]) -> Refused:
    """Send requests with these sequence numbers, of which the last asks for an acknowledgement."""
    sock.send(data)
    refused: Refused = {}
    first, last = seqs[0], seqs[-1]
    while True:
        for message in nl.messages(sock.receive()):
            if message.type != nl.NLMSG_ERROR or not first <= message.seq <= last:
                continue
            number = nl.error_number(message.payload)
            if number and number not in fine:
                words = nl.acknowledgement(message.payload, message.flags).text
                refused[message.seq - first] = number, words or os.strerror(number)
            if message.seq == last:
                return refused
