"""The model of a control request: JSON that asks for a route."""

from __future__ import annotations

import asyncio
import json

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from peerway.control.api import RouteRequest, UnusableError
from peerway.control.server import _route_request

TYPES = ("application/json", "text/plain; charset=utf-16", "application/json; charset=nonsense", "")
LOOP = asyncio.new_event_loop()


def seeds() -> list[bytes]:
    whole = {"prefix": "10.0.0.0/8", "peer": "berlin", "interface": "wg0", "metric": 5, "table": "main"}
    return [
        b"\0" + json.dumps(whole).encode(),
        b"\1[1]",
        b"\0" + b"[" * 20_000,
        b"\2{}",
        b'\0{"prefix": 1e999, "peer": [], "metric": true}',
    ]


def one(data: bytes) -> None:
    """
    Any body is a request whose every field has its type, or an UnusableError.
    """
    LOOP.run_until_complete(_ask(data[1:], TYPES[data[0] % len(TYPES)] if data else ""))


async def _ask(body: bytes, kind: str) -> None:
    stream = StreamReader(BaseProtocol(LOOP), 1 << 16, loop=LOOP)
    stream.feed_data(body)
    stream.feed_eof()
    request = make_mocked_request("POST", "/v1/routes", {"Content-Type": kind}, payload=stream)
    try:
        wanted = await _route_request(request)
    except UnusableError:
        return
    assert isinstance(wanted, RouteRequest)
    assert isinstance(wanted.prefix, str)
    assert isinstance(wanted.peer, str)
    assert wanted.interface is None or isinstance(wanted.interface, str)
    assert wanted.metric is None or type(wanted.metric) is int
    assert wanted.table is None or isinstance(wanted.table, str)
