"""What an operator asked for, checked and resolved: numbers instead of names, keys instead of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column, Mask
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.route import RT_TABLE_MAIN

ROUTE_PROTOCOL: Final = 87
METRIC: Final = 4096
ALL_PROTOCOLS: Final = frozenset(range(256))


class RouteSync(Enum):
    """Which directions are kept in step."""

    BOTH = "both"
    ROUTES_TO_PEERS = "routes-to-peers"
    PEERS_TO_ROUTES = "peers-to-routes"
    OFF = "off"


class Pinned(Enum):
    """What happens to a pinned AllowedIP when a route claims its prefix for another peer."""

    WINS = "wins"
    YIELDS = "yields"


class OnStop(Enum):
    """What a clean stop leaves behind."""

    KEEP = "keep"
    FLUSH = "flush"


@dataclass(frozen=True, slots=True)
class Accept:
    """
    One entry of an accept list, as prefix lists of routing daemons read: inside `prefix`, with a length from
    `ge` to `le`. Without either it is the prefix itself.
    """

    prefix: Prefix
    ge: int
    le: int

    @classmethod
    def parse(cls, value: str) -> Accept:
        """
        Read `10.0.0.0/8 [ge N] [le N]`. Raises ValueError with a sentence.
        """
        words = value.split()
        if not words or len(words) % 2 == 0:
            raise ValueError(f"{value!r} is not `PREFIX [ge N] [le N]`, such as 10.0.0.0/8 le 24")
        prefix = px.parse(words[0], strict=True)
        own, bits = px.length(prefix), px.bits(prefix)
        bounds: dict[str, int] = {}
        for word, number in zip(words[1::2], words[2::2], strict=True):
            if word not in ("ge", "le") or word in bounds or not number.isdecimal() or not own <= int(number) <= bits:
                raise ValueError(f"{value!r}: after the prefix come `ge N` and `le N`, N from {own} to {bits}")
            bounds[word] = int(number)
        ge = bounds.get("ge", own)
        le = bounds.get("le", bits if "ge" in bounds else own)
        if ge > le:
            raise ValueError(f"{value!r}: ge {ge} is greater than le {le}")
        return cls(prefix, ge, le)

    def matches(self, prefix: Prefix) -> bool:
        """Whether this entry accepts a prefix."""
        return self.ge <= px.length(prefix) <= self.le and px.contains(self.prefix, prefix)

    def matching(self, column: Column) -> Mask:
        """Which prefixes of a column this entry accepts."""
        lengths = cl.lengths(column)
        return cl.inside(column, self.prefix) & (lengths >= self.ge) & (lengths <= self.le)


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """
    Settings of one peer. `accept` None means everything.
    """

    name: str = ""
    accept: tuple[Accept, ...] | None = None

    def accepts(self, prefix: Prefix) -> bool:
        """Whether a route may give this prefix to the peer."""
        return self.accept is None or any(entry.matches(prefix) for entry in self.accept)

    def accepting(self, column: Column) -> Mask:
        """Which prefixes of a column a route may give to the peer."""
        found = np.full(len(column), self.accept is None, np.bool_)
        for entry in self.accept or ():
            found |= entry.matching(column)
        return found


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Settings of one interface (DESIGN section 7), resolved.
    """

    route_sync: RouteSync = RouteSync.BOTH
    prefixes: tuple[Prefix, ...] = (px.parse("fe80::/64"),)
    tables: tuple[int, ...] = (RT_TABLE_MAIN,)
    table: int = RT_TABLE_MAIN
    metric: int = METRIC
    route_protocol: int = ROUTE_PROTOCOL
    protocols: frozenset[int] = ALL_PROTOCOLS
    pinned: Pinned = Pinned.WINS
    default_route: bool = False
    max_prefixes: int = 0
    on_stop: OnStop = OnStop.KEEP
    aggregate: bool = False
    peers: Mapping[PublicKey, PeerPolicy] = field(default_factory=dict)

    @property
    def routes_to_peers(self) -> bool:
        """Whether kernel routes give AllowedIPs."""
        return self.route_sync in (RouteSync.BOTH, RouteSync.ROUTES_TO_PEERS)

    @property
    def peers_to_routes(self) -> bool:
        """Whether pinned AllowedIPs give kernel routes."""
        return self.route_sync in (RouteSync.BOTH, RouteSync.PEERS_TO_ROUTES)

    @property
    def by_situation(self) -> bool:
        """
        Whether a verdict depends on nothing of the prefix itself: there is no limit, no accept list, no aggregation.
        """
        open_to_all = all(peer.accept is None for peer in self.peers.values())
        return not self.max_prefixes and not self.aggregate and open_to_all

    def peer(self, key: PublicKey) -> PeerPolicy:
        """The settings of a peer."""
        return self.peers.get(key, DEFAULT_PEER)


DEFAULT_PEER: Final = PeerPolicy()
