"""A thousand clients of a control socket in one process: python -m tests.bench.crowd SOCKET NUMBER

Half of them are stalled: they ask for the events, or for all routes, and take nothing of the answer. The other half
read events as they come, or ask for the status once a second. Prints a line when all have asked, and one a minute with
how many answers came; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

EVENTS, ROUTES, STATUS = "/v1/events", "/v1/routes", "/v1/status"
PAUSE = 1.0  # seconds between two questions of a client
SMALL = 4096  # bytes that wait for somebody who reads nothing


class Crowd:
    """
    The clients. `heard` counts answers and events.
    """

    def __init__(self, path: str, number: int) -> None:
        self._path, self._number = path, number
        self.heard: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._asking = 0
        self._all_came = asyncio.Event()

    def _count(self, *, asks: bool) -> None:
        self._asking += asks
        if self._asking + sum(self.lost.values()) >= self._number:
            self._all_came.set()

    async def run(self, said: Callable[[str], None], until: Awaitable[object]) -> None:
        """All clients, until then."""
        kinds = (self._stall, EVENTS), (self._stall, ROUTES), (self._listen, EVENTS), (self._ask, STATUS)
        tasks = []
        for at in range(self._number):
            act, path = kinds[at % len(kinds)]
            tasks.append(asyncio.create_task(self._come(act, path)))
            if at % 20 == 19:
                await asyncio.sleep(0.02)
        await self._all_came.wait()
        said(f"asked {self._asking} lost {sum(self.lost.values())}")
        await until
        said(f"heard {sum(self.heard.values())} lost {sum(self.lost.values())}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _come(self, act: Callable[[socket.socket, str], Awaitable[None]], path: str) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            try:
                while True:
                    try:
                        client.connect(self._path)  # which is done at once, or not at all
                        break
                    except BlockingIOError:  # as many as may wait are waiting
                        await asyncio.sleep(0.05)
                await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: peerway\r\n\r\n".encode())
                self._count(asks=True)
                await act(client, path)
            except (OSError, EOFError):
                self.lost[path] += 1
                self._count(asks=False)

    async def _stall(self, _client: socket.socket, _path: str) -> None:
        await asyncio.get_running_loop().create_future()

    async def _listen(self, client: socket.socket, path: str) -> None:
        while part := await asyncio.get_running_loop().sock_recv(client, 1 << 16):
            self.heard[path] += part.count(b"data: ")
        raise EOFError

    async def _ask(self, client: socket.socket, path: str) -> None:
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(client, 1 << 16):
            self.heard[path] += 1
            await asyncio.sleep(PAUSE)
            await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: peerway\r\n\r\n".encode())
        raise EOFError


async def main(path: str, number: int) -> None:
    """
    Be the crowd.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    await Crowd(path, number).run(lambda words: print(words, flush=True), ended.wait())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
