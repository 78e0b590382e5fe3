"""What a feature is: it hears events, and answers with what it wants. It never acts, and it never sees its own work.

Wants are levels, not deltas: the engine asks again whenever something has changed, compares with what is, and does the
difference. So an event that was missed heals at the next round.

An answer about a prefix may depend on its routes, on who holds it, on the ledger, and on what sort of prefix it is
(family, host, default, link-local), but on no more of it: prefixes that are alike in that are asked about once.
"""

from __future__ import annotations

from typing import ClassVar

from peerway.model.events import Event
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Address
from peerway.model.prefix import Prefix
from peerway.model.route import Path
from peerway.model.selection import NOTHING, Selection
from peerway.model.world import World


class Feature:
    """
    The base of all features: it wants nothing. A feature overrides what it has an answer to.
    """

    name: ClassVar[str] = ""

    def __init__(self, world: World) -> None:
        self.world = world

    def hear(self, event: Event) -> None:
        """
        Something happened. Most features need not listen, as they are asked anyway.
        """

    def addresses(self, interface: Interface) -> frozenset[Address]:
        """
        The addresses that the interface should have.
        """
        return frozenset()

    def derived(self, interface: Interface, prefix: Prefix) -> PublicKey | None:
        """
        The peer that the prefix belongs to by derivation.
        """
        return None

    def selection(self, interface: Interface, prefix: Prefix) -> Selection:
        """
        The peers that routes name for the prefix.
        """
        return NOTHING

    def routes(self, interface: Interface, prefix: Prefix) -> tuple[Path, ...]:
        """
        The routes of ours that the prefix should have.
        """
        return ()
