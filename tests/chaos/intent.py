"""What users want of a place, and what follows from it.

A naive model looks at the routes that ip(8) shows and at who pinned what, and says who may own each prefix.
"""

from __future__ import annotations

import random
from typing import Any, Final

from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from tests.chaos.place import ENDPOINT, LINK_LOCAL, OURS, PEERS, PINNED, Place, Seen
from tests.harness import naive

Settings = dict[str, Any]

CONTESTED: Final = px.parse("10.253.0.0/16")  # somebody else has a route here where ours would be
UNIVERSE: Final = [
    CONTESTED,
    *map(px.parse, ("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0")),
    *(px.parse(f"10.{number}.0.0/16") for number in range(1, 9)),
    *(px.parse(f"10.{number}.{number}.0/24") for number in range(1, 9)),
    *(px.parse(f"2001:db8:{number}::/48") for number in range(1, 5)),
]
MOVERS: Final = [px.parse(f"10.200.{number}.0/24") for number in range(6)]
STATICS: Final = [px.parse(f"10.66.{number}.0/24") for number in range(3)]
DEFAULTS: Final = {px.parse("0.0.0.0/0"), px.parse("::/0")}


def settings(dice: random.Random) -> Settings:
    """Some settings of all interfaces."""
    return {
        "pinned": dice.choice(("wins", "yields")),
        "route_sync": dice.choice(("both", "both", "both", "routes-to-peers", "peers-to-routes")),
        "tables": dice.choice((["main"], ["main", 100], [100, "main"])),
        "metric": dice.choice((4096, 4096, 5000)),
        "protocols": dice.choice((["*"], ["*"], ["!babel"])),
    }


class Intent:
    """Settings, peers, pins and static routes as others made them."""

    def __init__(self, place: Place, first: Settings) -> None:
        self.place, self.settings = place, first
        self.present = set(PEERS)
        self.pins: dict[Prefix, str] = {}
        self.statics: dict[Prefix, str] = {}

    @property
    def yields(self) -> bool:
        """Whether pinned prefixes yield to routes at present."""
        return bool(self.settings["pinned"] == "yields")

    def wrong(self) -> list[str]:
        """What is not as the rules say, by the eyes of ip and wg."""
        seen = self.place.seen()
        return [
            *self._wrong_owners(seen),
            *self._wrong_routes(seen),
            *([] if seen.others == self.place.others else [f"what is foreign moved: {seen.others}"]),
            *self._wrong_peers(seen),
        ]

    def routed(self, prefix: Prefix, seen: Seen) -> set[str]:
        """The peers of the route that counts."""
        tables = [str(table) for table in self.settings["tables"]]
        if self.settings["route_sync"] == "peers-to-routes":
            return set()
        return naive.routed(
            ((tables.index(route.table), route.metric), set(route.peers) & self.present)
            for route in seen.routes
            if route.prefix == prefix
            and route.protocol != OURS
            and route.table in tables
            and not (route.protocol == "babel" and self.settings["protocols"] == ["!babel"])
        )

    def _wrong_owners(self, seen: Seen) -> list[str]:
        wrong = []
        derived = {derived_address(LINK_LOCAL, PEERS[name]): name for name in self.present}
        for prefix in {*UNIVERSE, *MOVERS, *STATICS, *seen.held, *derived}:
            allowed = naive.owners(self.pins.get(prefix), self.routed(prefix, seen), yields=self.yields)
            if prefix in derived:  # a gateway, which no route can take while its peer is there
                allowed = {derived[prefix]}
            owner = seen.held.get(prefix)
            if owner not in allowed and (allowed or owner):
                wrong.append(f"{px.text(prefix)} is at {owner}, not {' or '.join(sorted(allowed)) or 'nobody'}")
        return wrong

    def _wrong_routes(self, seen: Seen) -> list[str]:
        metric = self.settings["metric"]
        wanted = {
            (px.text(prefix), "main", metric): (name,)
            for prefix, name in self.pins.items()
            if prefix not in DEFAULTS
            and not (prefix == CONTESTED and metric == 4096)
            and self.settings["route_sync"] != "routes-to-peers"
        }
        own = {(px.text(r.prefix), r.table, r.metric): r.peers for r in seen.routes if r.protocol == OURS}
        statics = {route.prefix: route.peers[0] for route in seen.routes if route.protocol == "static" and route.peers}
        return [
            *(f"our route {key}: {own.get(key)}, not {wanted.get(key)}" for key in differing(own, wanted)),
            *([] if statics == self.statics else [f"static routes are {statics}, not {self.statics}"]),
        ]

    def _wrong_peers(self, seen: Seen) -> list[str]:
        theirs = {name: ("(none)", ENDPOINT if name in PINNED else "(none)", "off") for name in self.present}
        own = px.address_text(derived_address(LINK_LOCAL, PublicKey.parse(self.place.wg.public_key)))
        return [
            *([] if seen.peers == theirs else [f"the peers are {seen.peers}"]),
            *([] if own in seen.addresses else [f"the derived address {own} is not assigned"]),
        ]


def differing(one: dict[Any, Any], other: dict[Any, Any]) -> list[Any]:
    """The keys at which two mappings differ."""
    return [key for key in one | other if one.get(key) != other.get(key)]
