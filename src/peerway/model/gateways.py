"""Gateways: the addresses that name one peer as next hop.

A gateway is a peer's derived address, or a host-length AllowedIP that somebody pinned to it. An address that names two
peers names nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix


class Gateways:
    """
    The gateways of one interface. Immutable: a change of peers, prefixes or pinned addresses makes a new one.
    """

    def __init__(
        self, peers: Iterable[PublicKey] = (), prefixes: Iterable[Prefix] = (), pinned: Mapping[Prefix, PublicKey] = {}
    ) -> None:
        """
        `prefixes` are those to derive addresses under, `pinned` the host-length AllowedIPs that are not ours.
        """
        self.derived: dict[Prefix, tuple[PublicKey, ...]] = {}
        self._names: dict[Prefix, frozenset[PublicKey]] = {}
        self._of: dict[PublicKey, list[Prefix]] = {}
        prefixes = tuple(prefixes)
        for peer in sorted(peers):
            for prefix in prefixes:
                address = derived_address(prefix, peer)
                self.derived[address] = (*self.derived.get(address, ()), peer)
                self._add(address, peer)
        for address, peer in sorted(pinned.items()):
            self._add(address, peer)

    def _add(self, address: Prefix, peer: PublicKey) -> None:
        self._names[address] = self._names.get(address, frozenset()) | {peer}
        own = self._of.setdefault(peer, [])
        if address not in own:
            own.append(address)

    @property
    def addresses(self) -> Iterable[Prefix]:
        """
        Every address that names somebody.
        """
        return self._names

    def named(self, address: Prefix) -> frozenset[PublicKey]:
        """
        The peers that an address names: none, one, or, where it is ambiguous, several.
        """
        return self._names.get(address, frozenset())

    def peer(self, address: Prefix) -> PublicKey | None:
        """
        The one peer that an address names.
        """
        names = self._names.get(address)
        return next(iter(names)) if names is not None and len(names) == 1 else None

    def derived_owner(self, address: Prefix) -> PublicKey | None:
        """
        The peer whose derived address this is, if it is that of one peer only and names no other.
        """
        owners = self.derived.get(address)
        return self.peer(address) if owners else None

    def of(self, peer: PublicKey) -> tuple[Prefix, ...]:
        """
        The gateways that name this peer and no other: derived ones first, in the order of the prefixes.
        """
        return tuple(address for address in self._of.get(peer, ()) if len(self._names[address]) == 1)

    def best(self, peer: PublicKey, family: int) -> Prefix | None:
        """
        The gateway for a route of this family: one of the same family, else, for IPv4, an IPv6 one (RFC 9229, `via
        inet6`). A link-local address is preferred among IPv6 ones.
        """
        own = self.of(peer)
        if family == px.AF_INET:
            ipv4 = [address for address in own if px.family(address) == px.AF_INET]
            if ipv4:
                return ipv4[0]
        ipv6 = [address for address in own if px.family(address) == px.AF_INET6]
        ipv6.sort(key=lambda address: not px.is_link_local(address))
        return ipv6[0] if ipv6 else None

    def changed(self, other: Gateways) -> set[Prefix]:
        """
        The addresses that name other peers than in `other`.
        """
        mine, theirs = self._names, other._names
        return {address for address in mine.keys() | theirs.keys() if mine.get(address) != theirs.get(address)}
