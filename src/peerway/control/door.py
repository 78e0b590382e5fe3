"""The door of the control socket: who comes in, how many, and who has to leave.

Each connection is looked at once, when it is made: the caller's level, and whether there is room. Somebody who may do
nothing, or for whom there is no room, is let in to be told so, as long as few are; more are hung up on. A client that
takes nothing of what it asked for is waited for by nobody but itself, and hung up on in the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from peerway.control.access import Access, Credentials, Level, credentials_of
from peerway.loop import Loop

CLIENTS: Final = 1024  # connections at once
CLIENTS_OF_USER: Final = 128  # of one user who may only read: nobody can take all the room
TURNED_AWAY: Final = 16  # connections at once that are told why they get nothing
STALLED: Final = 300.0  # seconds that a client may take nothing of what waits for it
SWEEP: Final = 10.0  # seconds between two looks at who is stalled

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Guest:
    """
    A connection that was let in. With a `refusal`, that is all it is told.
    """

    caller: Credentials
    level: Level
    full: bool = False
    pending: int = 0  # bytes that it did not take
    since: float = 0.0  # when that number changed

    @property
    def turned_away(self) -> bool:
        """
        Whether it is here only to be told that it gets nothing.
        """
        return self.full or self.level is Level.NOTHING


class Door:
    """
    Makes the event loop's protocol for each connection (`door()`), from those that `protocol` makes.
    """

    def __init__(self, access: Access, protocol: Callable[[], asyncio.Protocol], *, clients: int = CLIENTS) -> None:
        """
        Only in a running event loop.
        """
        self.access = access
        self._protocol = protocol
        self._clients = clients
        self._loop = asyncio.get_running_loop()
        self._guests: dict[asyncio.BaseTransport, Guest] = {}
        self._timer = self._loop.call_later(SWEEP, self._sweep)

    def __call__(self) -> asyncio.Protocol:
        """
        What the event loop asks for when a connection came.
        """
        return _Greeter(self)

    def close(self) -> None:
        """
        Look no more after those who are in.
        """
        self._timer.cancel()

    def guest(self, transport: asyncio.BaseTransport | None) -> Guest | None:
        """
        Who this is; None if the connection is gone.
        """
        return self._guests.get(transport) if transport else None

    def greet(self, transport: asyncio.Transport) -> None:
        """
        Let somebody in, or hang up.
        """
        caller = credentials_of(transport.get_extra_info("socket"))
        level = self.access.level(caller)
        self._forget_who_left()
        guest = Guest(caller, level, full=not self._has_room(caller, level), since=self._loop.time())
        if guest.turned_away and sum(other.turned_away for other in self._guests.values()) >= TURNED_AWAY:
            transport.abort()
            return
        self._guests[transport] = guest
        if isinstance(self._loop, Loop):
            self._loop.selector.guest(transport.get_extra_info("socket").fileno())
        protocol = self._protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _has_room(self, caller: Credentials, level: Level) -> bool:
        present = [guest for guest in self._guests.values() if not guest.turned_away]
        if len(present) >= self._clients:
            return False
        return level is Level.CHANGE or sum(guest.caller.uid == caller.uid for guest in present) < CLIENTS_OF_USER

    def _forget_who_left(self) -> None:
        for transport in [one for one in self._guests if one.get_extra_info("socket").fileno() < 0]:
            del self._guests[transport]

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP, self._sweep)
        self._forget_who_left()
        now = self._loop.time()
        for transport, guest in self._guests.items():
            pending = transport.get_write_buffer_size() if isinstance(transport, asyncio.Transport) else 0
            if not pending or pending != guest.pending:
                guest.pending, guest.since = pending, now
            elif now - guest.since >= STALLED and isinstance(transport, asyncio.Transport):
                log.warning("a client of uid %d, pid %d takes nothing: hung up", guest.caller.uid, guest.caller.pid)
                transport.abort()


class _Greeter(asyncio.Protocol):
    """Stands at a connection until the door has looked at it."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @override
    def connection_made(self, transport: Any) -> None:
        self._door.greet(transport)
