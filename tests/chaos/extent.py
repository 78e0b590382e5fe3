"""How much is run: a bounded part in `make test`, all of it where PEERWAY_CHAOS=full, as `make chaos` sets it."""

from __future__ import annotations

import os
from typing import Final, TypeVar

T = TypeVar("T")

FULL: Final = os.environ.get("PEERWAY_CHAOS") == "full"
GUEST: Final = "IN_GUEST" in os.environ


def extent(full: T, bounded: T, guest: T) -> T:
    """What to take: of `make chaos`, of `make test`, and of an emulated machine, which is 20 times slower."""
    return guest if GUEST else full if FULL else bounded
