"""The control socket while nobody asks: it is there from the start, and its first caller brings in the server.

The server's HTTP library takes 12 MB and a tenth of a second. A daemon that nobody asks does without; it is loaded
beside the event loop, so that routes are carried on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from peerway.control.access import Access
from peerway.control.api import DaemonApi
from peerway.control.listener import Listener, adopt, listen

log = logging.getLogger(__name__)

Serve = Callable[[DaemonApi, Listener, Access], AbstractAsyncContextManager[object]]


@asynccontextmanager
async def serve(
    api: DaemonApi, path: Path, access: Access, inherited: socket.socket | None = None
) -> AsyncIterator[None]:
    """
    Serve on the unix socket at `path`, or on one that was inherited, while the block runs. Raises SocketTakenError and
    OSError (listener.listen).
    """
    listener = adopt(inherited, access.groups) if inherited else listen(path, access.groups)
    answering = asyncio.get_running_loop().create_task(_answer(api, listener, access))
    try:
        yield
    finally:
        answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering
        listener.close()


async def _answer(api: DaemonApi, listener: Listener, access: Access) -> None:
    await _called(listener.socket)
    try:
        server = await asyncio.to_thread(_load)
        async with server(api, listener, access):
            await asyncio.get_running_loop().create_future()  # until this task is cancelled
    except Exception:
        log.exception("nobody answers on the control socket: its server cannot be started")


async def _called(listening: socket.socket) -> None:
    """Wait for the first connection, which is left to who accepts it."""
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    loop.add_reader(listening, called.set)
    try:
        await called.wait()
    finally:
        loop.remove_reader(listening)


def _load() -> Serve:
    from peerway.control.server import serve_at  # noqa: PLC0415 - only who is asked needs it

    return serve_at
