"""`peerway verify`: everything is read anew and compared: kernel with memory, WireGuard with memory, all with wants.

What differs is found in columns, a slice at a time, and others have their turn between slices. So many differences of a
kind are told one by one, and of the rest how many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final

import numpy as np

from peerway.control.api import Drift
from peerway.control.views import Views
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.aggregated import Aggregated
from peerway.model.columns import Column
from peerway.model.device import AllowedIPs
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ownership import Origin
from peerway.model.pages import pages
from peerway.model.ports import DeviceHandle, RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.situations import alike
from peerway.model.table import Table

LISTED: Final = 1000  # prefixes of a kind of difference that are told one by one
SLICE: Final = 1 << 13  # prefixes that are compared at a time
MOMENT: Final = 0.001  # seconds of work, then others have their turn

Sentences = Callable[[Prefix], Iterable[str]]


async def verify(views: Views, table: RoutingTable, handles: dict[int, DeviceHandle], name: str | None) -> Drift:
    """
    What differs on one interface, or on all. Reads only; changes that arrive meanwhile may show as differences.
    """
    interfaces = views.interfaces(name)
    routes = table.routes(views.world.is_relevant)
    checked = sum(len(part.column) for part in routes)
    differ = views.world.rib.differing(routes)
    del routes
    differences = await _told(
        pages(differ, SLICE), _of_routes, "routes: and {} prefixes more are not what peerway holds"
    )
    for interface in interfaces:
        reading = await handles[interface.ifindex].read()
        checked += len(reading.allowed_ips)
        differ = interface.held.differing(reading.allowed_ips)
        differences += await _told(
            _unlike(interface, differ),
            _of_wireguard(views, interface, reading.allowed_ips),
            f"{interface.name}: and {{}} prefixes more are not in WireGuard as peerway has them",
        )
        del reading
        differences += await _told(
            _unwanted(views, interface),
            _of_wants(views, interface),
            f"{interface.name}: and {{}} prefixes more are not as they should be",
        )
        differences += await _of_aggregation(views, interface)
        differences += _of_addresses(views, interface)
    return Drift(differences, checked)


async def _told(found: Iterable[Column], sentences: Sentences, rest: str) -> list[str]:
    """What is to be said of the prefixes that were found. `found` gives columns as it goes on, empty ones too."""
    told: list[str] = []
    listed, more, until = 0, 0, monotonic() + MOMENT
    for column in found:
        some = column[: LISTED - listed]
        listed, more = listed + len(some), more + len(column) - len(some)
        for prefix in cl.prefixes(some):
            told += sentences(prefix)
            until = await _breath(until)
        until = await _breath(until)
    return [*told, rest.format(more)] if more else told


async def _breath(until: float) -> float:
    if monotonic() < until:
        return until
    await asyncio.sleep(0)
    return monotonic() + MOMENT


# the kernel's routes


def _of_routes(prefix: Prefix) -> list[str]:
    return [f"routes: {px.text(prefix)} in the kernel is not what peerway holds"]


# WireGuard's map


def _unlike(interface: Interface, differ: list[Column]) -> Iterator[Column]:
    """What the reading has otherwise than memory, and what of ours memory has at somebody else."""
    yield from pages(differ, SLICE)
    for part in pages(interface.ledger.ours.columns(), SLICE):
        moved = _elsewhere(interface.ledger.ours, interface.held, part)
        for known in differ if len(moved) else ():
            moved = cl.without(moved, known) if known.dtype == moved.dtype else moved
        yield moved


def _elsewhere(one: Table[PublicKey], other: Table[PublicKey], column: Column) -> Column:
    """Those of some prefixes of one table that have another value in the other, or none."""
    own = [0, *(one.known(other.value(code)) for code in range(1, other.codes))]
    differ: Column = column[one.find(column) != np.array(own, np.int32)[other.find(column)]]
    return differ


def _of_wireguard(views: Views, interface: Interface, reading: AllowedIPs) -> Sentences:
    def sentences(prefix: Prefix) -> Iterator[str]:
        seen, held, mine = (table.look(prefix) for table in (reading, interface.held, interface.ledger.ours))
        text = px.text(prefix)
        if seen != held:
            there, here = _name(views, interface, seen), _name(views, interface, held)
            yield f"{interface.name}: {text} is at {there} in WireGuard, at {here} in peerway's memory"
        if mine is not None and mine != seen:
            name = _name(views, interface, mine)
            yield f"{interface.name}: the ledger has {text} as given to {name}, WireGuard has not"

    return sentences


# what is wanted


def _unwanted(views: Views, interface: Interface) -> Iterator[Column]:
    """Prefixes whose owner or routes are not those that are wanted. Of those that are alike, one is judged for all."""
    council, rib = views.council, views.world.rib
    everything = rib.entries.columns() + cl.columns(interface.gateways.derived)
    everything += [column for table in interface.tables() for column in table.columns()]
    for column in pages(everything, SLICE):
        for part in alike(interface, rib, column, lambda prefix: council.claimants(interface, prefix)):
            yield part if any(_of_wants(views, interface)(cl.first(part))) else part[:0]


def _of_wants(views: Views, interface: Interface) -> Sentences:
    def sentences(prefix: Prefix) -> Iterator[str]:
        owner, held = views.council.entry(interface, prefix).owner, interface.held.look(prefix)
        if owner != held:
            want, have = _name(views, interface, owner), _name(views, interface, held)
            yield f"{interface.name}: {px.text(prefix)} should be at {want}, and is at {have}"
        if {*views.council.routes(interface, prefix)} != {*views.world.own_routes(interface, prefix)}:
            yield f"{interface.name}: peerway's own route to {px.text(prefix)} is not as it should be"

    return sentences


async def _of_aggregation(views: Views, interface: Interface) -> list[str]:
    """What is given is what the rules say, and what stands for it is what the whole table, taken anew, would have."""
    state = interface.aggregated
    if state is None:
        return []
    name = interface.name
    differ = await asyncio.to_thread(state.audit())
    told = await _told(
        pages(differ, SLICE),
        lambda prefix: [f"{name}: {px.text(prefix)} is not what aggregation makes of the routes"],
        f"{name}: and {{}} prefixes more are not what aggregation makes of the routes",
    )
    return told + await _told(
        _ungiven(views, interface, state),
        lambda prefix: [f"{name}: {px.text(prefix)} is not given to whom its routes name"],
        f"{name}: and {{}} prefixes more are not given to whom their routes name",
    )


def _ungiven(views: Views, interface: Interface, state: Aggregated) -> Iterator[Column]:
    council, rib = views.council, views.world.rib
    everything = rib.entries.columns() + state.given.columns()
    for column in pages(everything, SLICE):
        for part in alike(interface, rib, column, lambda prefix: council.claimants(interface, prefix)):
            verdict = council.verdict(interface, cl.first(part))
            learner = verdict.owner if verdict.origin is Origin.LEARNED else None
            yield part if learner != state.given.look(cl.first(part)) else part[:0]


def _of_addresses(views: Views, interface: Interface) -> Iterator[str]:
    wanted = {address.address for address in views.council.addresses(interface)}
    there = {address.address for address in views.world.addresses if address.ifindex == interface.ifindex}
    for address in sorted(wanted - there):
        yield f"{interface.name}: the derived address {px.address_text(address)} is not assigned"


def _name(views: Views, interface: Interface, peer: PublicKey | None) -> str:
    return "nobody" if peer is None else views.peer_name(interface, peer)
