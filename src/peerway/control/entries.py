"""The entries of `routes`: one prefix each, with its owner, why, and who is shadowed or refused.

What an entry says depends on the prefix only by its name: all else comes from its situation, of which there are few. So
a long listing makes each situation's text once, and an entry when somebody takes it.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from socket import AF_INET6, inet_ntop
from typing import Any, Final

import numpy as np

from peerway.control.api import Json
from peerway.control.words import Names, gateway_text, losers_json, problem_text
from peerway.features.council import Council
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.health import Failure
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ownership import Origin, Verdict
from peerway.model.pages import pages
from peerway.model.prefix import Prefix
from peerway.model.route import Path
from peerway.model.situations import together
from peerway.model.table import Table
from peerway.model.world import World

PAGE: Final = 256  # prefixes that are looked up at a time
REMEMBERED: Final = 1 << 13  # texts of situations in one listing
UNREMARKABLE: Final = Verdict()


@dataclass(frozen=True, slots=True)
class Situation:
    """
    What the entry of a prefix tells, but for its name: who has it, whether by us and as a derived address, the route
    that counts, the verdict as it was decided, and what the device said to the last attempt. `given` is who was given
    it by its routes, which with aggregation is not always who has the very same AllowedIP.
    """

    owner: PublicKey | None
    given: PublicKey | None
    is_ours: bool
    is_derived: bool
    path: Path | None
    verdict: Verdict
    failure: str | None

    @property
    def origin(self) -> str:
        """
        The entry's `origin`.
        """
        if self.owner is not None and not self.is_ours:
            return Origin.PINNED.value
        if self.owner is not None and self.is_derived:
            return Origin.DERIVED.value
        if self.given is not None:
            return Origin.LEARNED.value
        if self.owner is not None:
            return "aggregated"
        return "refused" if self.verdict.refused or not self.verdict.problems else "unresolved"


class Entries:
    """
    Makes entries of what the World holds.
    """

    def __init__(self, world: World, council: Council, names: Names) -> None:
        self._world, self._council, self._names = world, council, names

    def one(self, interface: Interface, prefix: Prefix) -> Json:
        """
        The entry of one prefix.
        """
        situation = Situation(
            interface.held.look(prefix),
            interface.learned(prefix),
            prefix in interface.ledger.ours,
            prefix in interface.gateways.derived,
            self.path(interface, prefix),
            interface.notes.get(prefix, UNREMARKABLE),
            reason_of(interface.failures.look(prefix)),
        )
        return {"interface": interface.name, "prefix": px.text(prefix)} | self.rest(interface, situation)

    def path(self, interface: Interface, prefix: Prefix) -> Path | None:
        """
        The route that names the prefix's peer.
        """
        return self._council.claims(interface, prefix).selection.path

    def rest(self, interface: Interface, situation: Situation) -> Json:
        """
        An entry without interface and prefix.
        """
        given, path, verdict = situation.given, situation.path, situation.verdict
        owner = given if situation.origin == Origin.LEARNED.value else situation.owner
        hops = () if path is None else self._world.nexthops.resolve(path)
        result: dict[str, Any] = {
            "origin": situation.origin,
            "owner": None if owner is None else str(owner),
            "owner_name": None if owner is None else interface.policy.peer(owner).name or None,
            "gateway": None if owner is None else gateway_text(interface.gateways, owner, path, hops),
            "table": None if path is None else self._names.table_name(path.table),
            "protocol": None if path is None else self._names.protocol_name(path.protocol),
            "metric": None if path is None else path.metric,
            "shadowed": losers_json(verdict.shadowed),
            "refused": losers_json(verdict.refused),
        }
        if owner != situation.owner:
            result["aggregated"] = True  # other AllowedIPs stand for it
        reasons = [problem_text(problem) for problem in verdict.problems]
        if situation.failure is not None:
            reasons.append(situation.failure)
        if reasons:
            result["reason"] = "; ".join(dict.fromkeys(reasons))
        return result

    def all(self, interface: Interface) -> Iterator[str]:
        """
        Every entry of an interface as JSON text, by prefix, each as it stands when its page is taken up. What came
        since the start is not in it, nor what went before its turn.
        """
        listing = _Listing(self, self._world, interface)
        for page in pages([column for table in shown(interface) for column in table.columns()], PAGE):
            yield from listing.page(page)


@dataclass(slots=True)
class _Told:
    """
    A situation and its text, once that was made. `values` keeps alive what the situation is known by.
    """

    situation: Situation
    values: tuple[object, ...]
    text: str = ""


class _Listing:
    """
    One walk over an interface. Situations are known by the identity of what they tell, until something that their text
    depends on is another: then the interface has a new selector, or another link.
    """

    def __init__(self, entries: Entries, world: World, interface: Interface) -> None:
        self._entries, self._world, self._interface = entries, world, interface
        self._told: dict[tuple[object, ...], _Told] = {}
        self._depends = interface.selector, interface.link

    def page(self, page: Column) -> Iterator[str]:
        """
        The entries of some prefixes. What they tell is looked up at once, their text is made one by one.
        """
        self._forget_if_due()
        page, situations, which = self._situations(page)
        head = f'{{"interface": {json.dumps(self._interface.name)}, "prefix": "'
        for name, at in zip(names(page), which, strict=True):
            told = situations[at]
            if not told.text:
                told.text = '", ' + json.dumps(self._entries.rest(self._interface, told.situation))[1:]
            yield head + name + told.text

    def _situations(self, page: Column) -> tuple[Column, list[_Told], list[int]]:
        """The prefixes of a page that are still there, their different situations, and which of these each has."""
        interface = self._interface
        seen = shown(interface)
        there = np.logical_or.reduce([table.find(page) != 0 for table in seen])
        page = page[there]
        if not len(page):
            return page, [], []
        tables: list[Table[Any]] = [*seen, interface.ledger.ours, self._world.rib.entries]
        codes = [table.find(page) for table in tables]
        derived = np.array([prefix in interface.gateways.derived for prefix in cl.prefixes(page)], np.int32)
        _, firsts, which = np.unique(together([*codes, derived]), return_index=True, return_inverse=True)
        situations = []
        for first in firsts.tolist():
            values = [table.value(int(some[first])) for table, some in zip(tables, codes, strict=True)]
            situations.append(self._situation(cl.first(page[first:]), values, is_derived=bool(derived[first])))
        return page, situations, which.reshape(-1).tolist()

    def _situation(self, prefix: Prefix, values: list[Any], *, is_derived: bool) -> _Told:
        name = (is_derived, *map(id, values))
        told = self._told.get(name)
        if told is None:
            owner, given, verdict, failure, ours, _ = values
            path = self._entries.path(self._interface, prefix)
            verdict, reason = verdict or UNREMARKABLE, reason_of(failure)
            situation = Situation(owner, given, ours is not None, is_derived, path, verdict, reason)
            told = self._told[name] = _Told(situation, tuple(values))
        return told

    def _forget_if_due(self) -> None:
        depends = self._interface.selector, self._interface.link
        if len(self._told) > REMEMBERED or any(map(operator.is_not, depends, self._depends)):
            self._told, self._depends = {}, depends


def shown(interface: Interface) -> list[Table[Any]]:
    """
    The tables whose prefixes have an entry: who has them, who was given them, and what there is to say.
    """
    given = interface.aggregated.given if interface.aggregated else interface.ledger.ours
    return [interface.held, given, interface.notes, interface.failures]


def reason_of(failure: Failure | None) -> str | None:
    """
    What the last attempt's error was, if it failed.
    """
    return None if failure is None else failure.reason


def names(column: Column) -> list[str]:
    """
    Prefixes as text, as `px.text` writes one.
    """
    if column.dtype == cl.IPV4:
        return [f"{p >> 32}.{p >> 24 & 255}.{p >> 16 & 255}.{p >> 8 & 255}/{p & 255}" for p in cl.prefixes(column)]
    raw = column.tobytes()
    texts = [
        f"{inet_ntop(AF_INET6, raw[at : at + cl.WIDTH - 1])}/{raw[at + cl.WIDTH - 1]}"
        for at in range(0, len(raw), cl.WIDTH)
    ]
    for at, text in enumerate(texts):
        if "." in text:  # an address with IPv4 in it, which the system's library writes its own way
            texts[at] = px.text(cl.first(column[at:]))
    return texts
