"""What the control socket can ask of the daemon. The engine implements it; the server and its tests know only this."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]
Hear = Callable[[Callable[[], Json]], None]


class UnknownError(LookupError):
    """
    The question names something that is not there: an interface, a peer, a prefix. The text says what, and the cure.
    """


class UnusableError(ValueError):
    """
    The request is malformed: not an address, an unknown table, an ambiguous peer. The text says what, and the cure.
    """


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """
    `peerway route add|del PREFIX via-peer PEER [dev IFACE] [metric N] [table T]`, as text from the user.
    """

    prefix: str
    peer: str
    interface: str | None = None
    metric: int | None = None
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """
    The answer of verify: what differs, one sentence each; empty = kernel, WireGuard and ledger agree.
    """

    differences: list[str] = field(default_factory=list)
    checked: int = 0


class DaemonApi(Protocol):
    """
    Each method raises UnknownError, UnusableError or OSError with a sentence for the user.
    """

    def status(self, interface: str | None, peer: str | None) -> Json:
        """`peerway status --json` (DESIGN section 7)."""
        ...

    def routes(self, interface: str | None) -> Iterator[str]:
        """The entries of `routes` in `peerway routes --json`, one by one, each made when it is taken, as JSON text."""
        ...

    async def why(self, target: str) -> Json:
        """
        One packet's way: {"version": 1, "target", "reachable": bool, "steps": [sentence, ...], "route": {...} | None,
        "gateway", "interface", "owner", "endpoint"}.
        """
        ...

    def listen(self, hear: Hear) -> Callable[[], None]:
        """
        Tell of each event from now on, until the returned function is called. `hear` gets a function that makes the
        JSON object, with "time", "event", "interface" and the event's fields: who makes it pays for it.
        """
        ...

    async def verify(self, interface: str | None) -> Drift:
        """Read everything anew and compare it with what is held and wanted."""
        ...

    async def sync(self, interface: str | None) -> None:
        """Look again now, and return when the state is applied."""
        ...

    async def reload(self) -> None:
        """Read the configuration again; a broken file keeps the old settings and raises UnusableError."""
        ...

    async def add_route(self, request: RouteRequest) -> Json:
        """Add a kernel route through a peer; answers {"route": "10.0.0.0/8 via inet6 fe80::1 dev wg0 ..."}."""
        ...

    async def delete_route(self, request: RouteRequest) -> Json:
        """Delete that route again."""
        ...
