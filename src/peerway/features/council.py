"""All features together: their claims to a prefix become one verdict, their routes one set.

The engine and the views ask the same council, so what `peerway routes` explains is what the engine does.
"""

from __future__ import annotations

from typing import Final

from peerway.features.addresses import DerivedAddresses
from peerway.features.base import Feature
from peerway.features.peers_to_routes import PeersToRoutes
from peerway.features.routes_to_peers import RoutesToPeers
from peerway.model import prefix as px
from peerway.model.decision import Decision, Standing
from peerway.model.events import Event
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Address
from peerway.model.ownership import Claims, Verdict, decide
from peerway.model.prefix import Prefix
from peerway.model.route import Path
from peerway.model.selection import NOTHING, Reason, Selection
from peerway.model.world import World

REMEMBERED: Final = 4096  # situations
FEATURES: Final[tuple[type[Feature], ...]] = (DerivedAddresses, RoutesToPeers, PeersToRoutes)


class Council:
    """
    The features of one daemon.
    """

    def __init__(self, world: World, features: tuple[type[Feature], ...] = FEATURES) -> None:
        self.world = world
        self.features = tuple(feature(world) for feature in features)
        self._deriving = [feature for feature in self.features if _overrides(feature, "derived")]
        self._selecting = [feature for feature in self.features if _overrides(feature, "selection")]
        self._routing = [feature for feature in self.features if _overrides(feature, "routes")]
        self._hearing = [feature for feature in self.features if _overrides(feature, "hear")]

    def hear(self, event: Event) -> None:
        """
        Tell an event to all features that listen.
        """
        for feature in self._hearing:
            feature.hear(event)

    def addresses(self, interface: Interface) -> frozenset[Address]:
        """
        The addresses that the interface should have.
        """
        return frozenset().union(*(feature.addresses(interface) for feature in self.features))

    def claims(self, interface: Interface, prefix: Prefix) -> Claims:
        """
        All claims to one prefix.
        """
        gateway = px.is_host(prefix) and bool(interface.gateways.named(prefix))
        return Claims(
            gateway,
            self._derived(interface, prefix) if gateway else None,
            interface.pinned(prefix),
            interface.learned(prefix),
            self._selection(interface, prefix),
        )

    def claimants(self, interface: Interface, prefix: Prefix) -> tuple[PublicKey, ...]:
        """
        The peers whose acceptance of a prefix matters to the verdict.
        """
        claims = self.claims(interface, prefix)
        peers = tuple(peer for peer, _ in claims.selection.peers)
        return peers if claims.learned is None else (*peers, claims.learned)

    def verdict(self, interface: Interface, prefix: Prefix) -> Verdict:
        """
        Who wins a prefix of an interface.
        """

        def admit(peer: PublicKey) -> Reason | None:
            return interface.admit(prefix, peer)

        return decide(self.claims(interface, prefix), admit, interface.policy.pinned)

    def decide(self, interface: Interface, prefix: Prefix, standing: Standing) -> Decision:
        """
        The verdict on a prefix, and its routes of ours. Remembered by situation, as far as that says all.
        """
        if not (px.is_plain(prefix) and interface.policy.by_situation):
            return self._decide(interface, prefix)
        rib = self.world.rib
        situation = rib.generation, rib.entries.code_at(prefix), standing, prefix >= px.V6
        known = interface.decisions.get(situation)
        if known is None:
            if len(interface.decisions) >= REMEMBERED:
                interface.decisions.clear()
            known = interface.decisions[situation] = self._decide(interface, prefix)
        return known

    def _decide(self, interface: Interface, prefix: Prefix) -> Decision:
        own = self.world.own_routes(interface, prefix)
        return Decision(self.entry(interface, prefix), self.routes(interface, prefix), own)

    def entry(self, interface: Interface, prefix: Prefix) -> Verdict:
        """
        Who shall have a prefix in WireGuard: as decided, but for the entries that stand for several where `aggregate`
        is on.
        """
        verdict = self.verdict(interface, prefix)
        return interface.aggregated.stands(prefix, verdict) if interface.aggregated else verdict

    def routes(self, interface: Interface, prefix: Prefix) -> tuple[Path, ...]:
        """
        The routes of ours that a prefix should have.
        """
        if len(self._routing) == 1:
            return self._routing[0].routes(interface, prefix)
        return tuple(path for feature in self._routing for path in feature.routes(interface, prefix))

    def _derived(self, interface: Interface, prefix: Prefix) -> PublicKey | None:
        for feature in self._deriving:
            peer = feature.derived(interface, prefix)
            if peer is not None:
                return peer
        return None

    def _selection(self, interface: Interface, prefix: Prefix) -> Selection:
        for feature in self._selecting:
            selection = feature.selection(interface, prefix)
            if selection is not NOTHING:
                return selection
        return NOTHING


def _overrides(feature: Feature, method: str) -> bool:
    return getattr(type(feature), method) is not getattr(Feature, method)
