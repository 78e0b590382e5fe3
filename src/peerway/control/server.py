"""The daemon's API as HTTP with JSON on a unix socket, so that `curl --unix-socket` works too.

`DaemonApi` answers, this module carries: paths, parameters, errors, who may do what, and streams. Long answers go out
entry by entry; a client that does not read its events is dropped, never waited for.

Reading needs no more than being able to open the socket (its owner and group). What changes something needs root or
the daemon's own user.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Final

from aiohttp import web

from peerway.control.api import DaemonApi, Json, RouteRequest, UnknownError, UnusableError
from peerway.control.listener import Listener, SocketTakenError, credentials_of, listen

__all__ = ["NotAllowedError", "Server", "SocketTakenError", "serve"]

LOG: Final = logging.getLogger(__name__)
EVENTS_HELD: Final = 65_536  # per client, some 20 MB of text: what a big change makes while the client is busy
EVENTS_AT_ONCE: Final = 64
ENTRIES_AT_ONCE: Final = 256
MOMENT: Final = 0.001  # seconds of work on one answer, then others have their turn
KEEP_ALIVE: Final = 15.0  # seconds; a comment in a quiet event stream shows that the client has gone
_SHUTDOWN: Final = 1.0

EventQueue = asyncio.Queue[bytes | None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotAllowedError(Exception):
    """
    The caller may not change things. The text says who may.
    """


_STATUS: Final[dict[type, int]] = {UnknownError: 404, UnusableError: 400, NotAllowedError: 403}


class Server:
    """
    Carries requests to a DaemonApi. `application` may be given more routes (metrics, a page) before it is started.
    """

    def __init__(self, api: DaemonApi, *, events_held: int = EVENTS_HELD) -> None:
        self._api = api
        self._events_held = events_held
        self._streams: set[EventQueue] = set()
        self._may_change = frozenset({0, os.geteuid()})
        self.application = web.Application(middlewares=[_errors_as_json])
        self.application.add_routes(
            [
                web.get("/v1/status", self._status),
                web.get("/v1/routes", self._routes),
                web.get("/v1/why", self._why),
                web.get("/v1/events", self._events),
                web.post("/v1/verify", self._verify),
                web.post("/v1/sync", self._privileged(self._sync)),
                web.post("/v1/reload", self._privileged(self._reload)),
                web.post("/v1/routes", self._privileged(self._add_route)),
                web.delete("/v1/routes", self._privileged(self._delete_route)),
            ]
        )
        self.application.on_shutdown.append(self._end_streams)

    def _privileged(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            transport = request.transport
            caller = credentials_of(transport.get_extra_info("socket")) if transport else None
            if caller is None or caller.uid not in self._may_change:
                raise NotAllowedError("only root and the daemon's own user may do this; try again with sudo")
            LOG.info("%s %s by uid %d, pid %d", request.method, request.path, caller.uid, caller.pid)
            return await handler(request)

        return checked

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return _answer(self._api.status(request.query.get("interface"), request.query.get("peer")))

    async def _why(self, request: web.Request) -> web.StreamResponse:
        target = request.query.get("target")
        if not target:
            raise UnusableError("no target; add ?target=ADDRESS or ?target=PREFIX")
        return _answer(await self._api.why(target))

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        drift = await self._api.verify(request.query.get("interface"))
        return _answer({"version": 1, "differences": drift.differences, "checked": drift.checked})

    async def _sync(self, request: web.Request) -> web.StreamResponse:
        await self._api.sync(request.query.get("interface"))
        return _answer({"version": 1})

    async def _reload(self, _: web.Request) -> web.StreamResponse:
        await self._api.reload()
        return _answer({"version": 1})

    async def _add_route(self, request: web.Request) -> web.StreamResponse:
        return _answer(await self._api.add_route(await _route_request(request)))

    async def _delete_route(self, request: web.Request) -> web.StreamResponse:
        return _answer(await self._api.delete_route(await _route_request(request)))

    async def _routes(self, request: web.Request) -> web.StreamResponse:
        entries = self._api.routes(request.query.get("interface"))
        first = list(islice(entries, 1))  # an unknown interface is told here, while the answer can still be 404
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            with _unbroken(request):
                await response.prepare(request)
                await response.write(b'{"version": 1, "routes": [')
                for chunk in _lines(chain(first, entries)):
                    await response.write(chunk)
                    await asyncio.sleep(0)  # a fast reader would keep the loop here
                await response.write(b"\n]}\n")
                await response.write_eof()
        finally:
            if isinstance(entries, Generator):
                entries.close()  # an error that ended it keeps it alive otherwise, until garbage is collected
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        queue = EventQueue(self._events_held)
        self._streams.add(queue)
        try:
            with _unbroken(request):
                async with asyncio.TaskGroup() as group:
                    pump = group.create_task(self._pump(queue))
                    await asyncio.sleep(0)  # so that the stream is open when the client sees that it is
                    await response.prepare(request)
                    await response.write(b": peerway\n\n")
                    await _send(response, queue)
                    pump.cancel()
        finally:
            self._streams.discard(queue)
        return response

    async def _pump(self, queue: EventQueue) -> None:
        """Take events as they come, whatever the client does; drop the client when it is too far behind."""
        events = self._api.events()
        taken = 0
        try:
            async for event in events:
                queue.put_nowait(f"data: {json.dumps(event)}\n\n".encode())
                taken += 1
                if taken % EVENTS_AT_ONCE == 0:  # a burst comes without a pause; the client is not to blame for it
                    await asyncio.sleep(0)
            queue.put_nowait(None)
        except asyncio.QueueFull:
            LOG.warning("a client does not read its events: %d wait; it is dropped", queue.qsize())
            raise ConnectionAbortedError("the client does not read") from None
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _end_streams(self, _: web.Application) -> None:
        for queue in self._streams:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)


@asynccontextmanager
async def serve(api: DaemonApi, path: Path, *, events_held: int = EVENTS_HELD) -> AsyncIterator[Server]:
    """
    Serve on the unix socket at `path` while the block runs. Raises SocketTakenError and OSError (listener.listen).
    """
    listener = listen(path)
    try:
        async with serve_at(api, listener, events_held=events_held) as server:
            yield server
    finally:
        listener.close()


@asynccontextmanager
async def serve_at(api: DaemonApi, listener: Listener, *, events_held: int = EVENTS_HELD) -> AsyncIterator[Server]:
    """
    The same on a socket that listens already; it stays open.
    """
    server = Server(api, events_held=events_held)
    runner = web.AppRunner(server.application, access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        await web.SockSite(runner, listener.socket).start()
        yield server
    finally:
        await runner.cleanup()


def _lines(entries: Iterator[str]) -> Iterator[bytes]:
    """Entries, each on a line of its own, joined by commas: the first alone, to be there at once, then as they come."""
    separator, waiting, until = "\n", list[str](), 0.0
    for entry in entries:
        waiting.append(entry)
        if len(waiting) >= ENTRIES_AT_ONCE or monotonic() >= until:
            yield (separator + ",\n".join(waiting)).encode()
            separator, waiting, until = ",\n", [], monotonic() + MOMENT
    if waiting:
        yield (separator + ",\n".join(waiting)).encode()


async def _send(response: web.StreamResponse, queue: EventQueue) -> None:
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                waiting = [await queue.get()]
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        while not queue.empty():
            waiting.append(queue.get_nowait())
        await response.write(b"".join(filter(None, waiting)))
        if None in waiting:
            await response.write_eof()
            return


async def _route_request(request: web.Request) -> RouteRequest:
    try:
        wanted = RouteRequest(**json.loads(await request.read()))
    except (ValueError, TypeError, RecursionError):
        raise UnusableError("not a route; send JSON with prefix, peer, and maybe interface, metric and table") from None
    texts = (wanted.prefix, wanted.peer, wanted.interface or "", wanted.table or "")
    if not all(isinstance(text, str) for text in texts) or type(wanted.metric or 0) is not int:
        raise UnusableError("not a route; metric is a number, all else is text")
    return wanted


def _answer(data: Json, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(data) + "\n", status=status, content_type="application/json")


@contextmanager
def _unbroken(request: web.Request) -> Iterator[None]:
    """Once an answer has begun, the only way left to tell of an error is to break it off."""
    try:
        yield
    except* ConnectionError:
        _abort(request)  # the client went away, or was dropped
    except* Exception:
        LOG.exception("%s %s failed in the middle", request.method, request.path)
        _abort(request)


def _abort(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        missing = f"nothing is at {request.path}; the paths begin with /v1/, such as /v1/status"
        return _answer({"error": missing if error.status == 404 else error.reason}, error.status)
    except (UnknownError, UnusableError, NotAllowedError) as error:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return _answer({"error": str(error)}, status)
    except OSError as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return _answer({"error": str(error)}, 500)
    except Exception:
        LOG.exception("%s %s failed", request.method, request.path)
        return _answer({"error": "the daemon failed on this; its log has the details (journalctl -u peerway)"}, 500)
