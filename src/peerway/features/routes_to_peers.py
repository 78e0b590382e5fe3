"""Routes to AllowedIPs: the peers that the kernel's routes name get the prefix (DESIGN 4)."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from peerway.features.base import Feature
from peerway.model.interface import Interface
from peerway.model.prefix import Prefix
from peerway.model.selection import NOTHING, Selection


class RoutesToPeers(Feature):
    """
    Wants for each routed prefix the peer that its next hop names.
    """

    name: ClassVar[str] = "routes-to-peers"

    @override
    def selection(self, interface: Interface, prefix: Prefix) -> Selection:
        if not interface.policy.routes_to_peers:
            return NOTHING
        paths = self.world.rib.paths(prefix)
        return interface.selector.select(paths) if paths else NOTHING
