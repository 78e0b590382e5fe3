"""Candidate sets of aggregation: which owners, coming from above, spare a region of addresses an entry of its own.

A set is an int with one bit for each owner code; bit 0 stands for "no peer". The rule is ORTC's (Draves, King,
Venkatachary and Zill, "Constructing Optimal IP Routing Tables", 1999) with two additions. An AllowedIP cannot say "no
peer", so a region with such addresses takes nothing else from above. And where somebody else's entry stands, nothing
that comes from above matters.
"""

from __future__ import annotations

from typing import Final

NONE: Final = 1  # the region has addresses of no peer
ALL: Final = -1  # whatever comes from above


def only(owner: int) -> int:
    """
    The set of a region whose addresses are all of one owner (0: of no peer).
    """
    return 1 << owner


def merge(left: int, right: int) -> int:
    """
    The set of a region of two halves: what suits both, else what suits one of them.
    """
    if both := left & right:
        return both
    either = left | right
    return NONE if either & NONE else either


def suits(candidates: int, owner: int) -> int:
    """
    1 if a region needs no entry where `owner` comes from above (0: nothing does), else 0.
    """
    return candidates >> owner & 1


def pick(candidates: int, answer: int) -> int:
    """
    The owner for an entry: the one that the unaggregated table has here, if it is as good as any, else the lowest.
    """
    return answer if candidates >> answer & 1 else (candidates & -candidates).bit_length() - 1
