"""A program with a WireGuard socket that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

HANG_UP = b"(hangs up)"
Answerer = Callable[[bytes], bytes | None]


@contextlib.asynccontextmanager
async def server(path: Path, answer: Answerer) -> AsyncIterator[list[bytes]]:
    """
    A program at `path`. `answer` gives what it says to a request; None ends the connection. Yields what it heard,
    with b"connected" for each connection.
    """
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(b"connected")
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\n\n")
                heard.append(request)
                said = answer(request)
                if said is None:
                    break
                writer.write(said.removesuffix(HANG_UP))
                await writer.drain()
                if said.endswith(HANG_UP):
                    break
        writer.close()

    started = await asyncio.start_unix_server(serve, path)
    try:
        yield heard
    finally:
        started.close()
