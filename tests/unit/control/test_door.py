"""The door: how many come in, who is told that it gets nothing, and who has to leave. The rest is in test_server."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from peerway.control import door
from peerway.control.access import Access, Credentials, Level
from peerway.control.door import Door, Guest

ANYBODY = Credentials(1, 65534, 65534)


class Told(asyncio.Protocol):
    """What a connection was let in to."""

    made: list[asyncio.Transport]

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.made.append(transport)


@asynccontextmanager
async def opened(path: Path, clients: int = 10) -> AsyncIterator[tuple[Door, list[asyncio.Transport]]]:
    """A door at `path`, and who came in."""
    Told.made = []
    here = Door(Access.of(), Told, clients=clients)
    server = await asyncio.get_running_loop().create_unix_server(here, path)
    try:
        yield here, Told.made
    finally:
        here.close()
        for transport in Told.made:
            transport.abort()
        server.close()


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client; the door has looked at it."""
    streams = await asyncio.open_unix_connection(path)
    await asyncio.sleep(0.01)
    return streams


async def test_no_more_come_in_than_there_is_room_for(tmp_path: Path) -> None:
    """Beyond the limit clients are let in to be told so, and beyond those hung up on; who leaves makes room."""
    async with opened(tmp_path / "s", clients=3) as (here, made):
        clients = [await connect(tmp_path / "s") for _ in range(3 + door.TURNED_AWAY)]
        guests = [here.guest(transport) for transport in made]
        assert [guest and guest.full for guest in guests] == [False] * 3 + [True] * door.TURNED_AWAY
        reader, writer = await connect(tmp_path / "s")
        assert await reader.read() == b""
        assert len(made) == len(clients)
        clients[0][1].close()
        await asyncio.sleep(0.01)
        clients.append(await connect(tmp_path / "s"))
        guest = here.guest(made[-1])
        assert guest
        assert not guest.full
        for _, leaving in [*clients, (reader, writer)]:
            leaving.close()


async def test_strangers_take_no_room_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of people who may do nothing leave the room as it is."""
    async with opened(tmp_path / "s", clients=1) as (here, made):
        monkeypatch.setattr(door, "credentials_of", lambda _: ANYBODY)
        clients = [await connect(tmp_path / "s") for _ in range(2 * door.TURNED_AWAY)]
        assert len(made) == door.TURNED_AWAY
        monkeypatch.setattr(door, "credentials_of", lambda _: replace(ANYBODY, uid=0))
        clients.append(await connect(tmp_path / "s"))
        assert here.guest(made[-1]) == Guest(replace(ANYBODY, uid=0), Level.CHANGE, since=here._guests[made[-1]].since)
        for _, writer in clients:
            writer.close()


async def test_who_takes_nothing_has_to_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with bytes waiting that takes none is hung up on; one that takes some, or has none waiting, stays."""
    monkeypatch.setattr(door, "SWEEP", 0.01)
    monkeypatch.setattr(door, "STALLED", 0.2)
    async with opened(tmp_path / "s") as (_, made):
        stalled, idle, slow = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in (stalled, idle, slow):
            client.setblocking(False)
            client.connect(os.fspath(tmp_path / "s"))
        await asyncio.sleep(0.05)
        assert len(made) == 3
        made[0].write(b"x" * 10_000_000)
        made[2].write(b"x" * 10_000_000)
        while not made[0].is_closing():
            slow.recv(100_000)
            await asyncio.sleep(0.01)
        assert not made[1].is_closing()
        assert not made[2].is_closing()
        for client in (stalled, idle, slow):
            client.close()
