"""The engine's nouns as JSON values: names instead of numbers, text instead of ints. No secret passes here."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Protocol

from peerway.model import prefix as px
from peerway.model.events import Event
from peerway.model.gateways import Gateways
from peerway.model.keys import PublicKey
from peerway.model.link import Address
from peerway.model.route import NextHop, Path
from peerway.model.selection import Problem, Reason


class Names(Protocol):
    """
    Numbers to names, as iproute2 has them.
    """

    def table_name(self, number: int) -> str:
        """The routing table's name, or its number as text."""
        ...

    def protocol_name(self, number: int) -> str:
        """The routing protocol's name, or its number as text."""
        ...

    def table(self, value: str | int) -> int:
        """The routing table's number, from its name or number. Raises ValueError with a sentence."""
        ...


def timestamp(nanoseconds: int) -> str | None:
    """
    RFC 3339 text of a Unix time in nanoseconds; None for 0, which means never.
    """
    if not nanoseconds:
        return None
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def event_name(event: Event) -> str:
    """
    `PeerAdded` as `peer-added`, `AllowedIPAdded` as `allowed-ip-added`.
    """
    return _dashed(type(event).__name__)


@cache
def _dashed(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("IPA", "IP-A").replace("IPR", "IP-R").lower()


def event_json(event: Event, now: float, names: Names) -> dict[str, Any]:
    """
    One event as `peerway monitor --json` prints it.
    """
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    result: dict[str, Any] = {"time": time, "event": event_name(event)}
    for field in fields(event):
        result[field.name] = _value(field.name, getattr(event, field.name), names)
    return result


def _value(name: str, value: object, names: Names) -> Any:
    match value:
        case PublicKey():
            return str(value)
        case Path():
            return path_json(value, names)
        case Address():
            return f"{px.address_text(value.address)}/{value.length}"
        case int() if name == "prefix":
            return px.text(px.Prefix(value))
        case int() if name == "latest_handshake":
            return timestamp(value)
        case _:
            return value


def path_json(path: Path, names: Names) -> dict[str, Any]:
    """
    A route without its prefix.
    """
    result: dict[str, Any] = {
        "table": names.table_name(path.table),
        "protocol": names.protocol_name(path.protocol),
        "metric": path.metric,
        "nexthops": [_hop_json(hop) for hop in path.nexthops],
    }
    if path.nexthop_id:
        result["nexthop_id"] = path.nexthop_id
    return result


def _hop_json(hop: NextHop) -> dict[str, Any]:
    gateway = None if hop.gateway is None else _gateway(hop.gateway)
    return {"ifindex": hop.ifindex, "gateway": gateway, "weight": hop.weight}


@lru_cache(1024)
def _gateway(address: px.Prefix) -> str:
    """Of gateways there are few, and each event of a route names one."""
    return px.address_text(address)


def losers_json(losers: tuple[tuple[PublicKey, Reason], ...]) -> list[dict[str, str]]:
    """
    Shadowed or refused peers with their reasons.
    """
    return [{"peer": str(peer), "reason": reason.value} for peer, reason in losers]


def problem_text(problem: Problem) -> str:
    """
    Why a next hop names nobody, for people.
    """
    match problem.reason:
        case Reason.UNKNOWN_GATEWAY if problem.gateway is not None:
            return f"the gateway {px.address_text(problem.gateway)} names no peer"
        case Reason.AMBIGUOUS_GATEWAY if problem.gateway is not None:
            return f"the gateway {px.address_text(problem.gateway)} names two peers, so it names nobody"
        case _:
            return problem.reason.value


def gateway_text(gateways: Gateways, peer: PublicKey, path: Path | None, hops: tuple[NextHop, ...]) -> str | None:
    """
    The gateway by which a route names a peer, else the peer's first one.
    """
    if path is not None:
        for hop in hops:
            if hop.gateway is not None and gateways.peer(hop.gateway) == peer:
                return px.address_text(hop.gateway)
    own = gateways.of(peer)
    return px.address_text(own[0]) if own else None
