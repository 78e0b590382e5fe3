"""Sorted columns read together, a page at a time: however long they are, no more than a page is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from peerway.model import columns as cl
from peerway.model.columns import Column


def pages(columns: Iterable[Column], size: int) -> Iterator[Column]:
    """
    The union of sorted columns, IPv4 before IPv6, in order and without doubles. A page has at most `size` prefixes of
    each column, and is never empty.

    Columns are never changed in place, so this is the union as it was at the start, whatever happens meanwhile.
    """
    given = [column for column in columns if len(column)]
    for dtype in (cl.IPV4, cl.IPV6):
        rest = [column for column in given if column.dtype == dtype]
        while rest:
            heads = [column[:size] for column in rest]
            last = min(head[-1] for head in heads)
            cuts = [int(head.searchsorted(last, "right")) for head in heads]
            page = heads[0][: cuts[0]]
            for head, cut in zip(heads[1:], cuts[1:], strict=True):
                page = cl.merged(page, head[:cut])
            yield page
            rest = [column[cut:] for column, cut in zip(rest, cuts, strict=True) if cut < len(column)]
