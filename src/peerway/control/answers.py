"""Answers of the control socket: JSON, and errors as a sentence with the status that fits."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from peerway.control.api import Json, UnknownError, UnusableError

LOG: Final = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotAllowedError(Exception):
    """
    The caller may not do this. The text says who may.
    """


class FullError(Exception):
    """
    There is no room for the caller. The text says so, and the cure.
    """


_STATUS: Final[dict[type, int]] = {UnknownError: 404, UnusableError: 400, NotAllowedError: 403, FullError: 503}


def answer(data: Json, status: int = 200) -> web.Response:
    """
    JSON with a line's end.
    """
    return web.Response(text=json.dumps(data) + "\n", status=status, content_type="application/json")


@contextmanager
def unbroken(request: web.Request) -> Iterator[None]:
    """
    Once an answer has begun, the only way left to tell of an error is to break it off.
    """
    try:
        yield
    except* ConnectionError:
        abort(request)  # the client went away, or was dropped
    except* Exception:
        LOG.exception("%s %s failed in the middle", request.method, request.path)
        abort(request)


def abort(request: web.Request) -> None:
    """
    Hang up.
    """
    if request.transport:
        request.transport.abort()


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Turn what a handler raises into an answer.
    """
    try:
        return await handler(request)
    except web.HTTPException as error:
        missing = f"nothing is at {request.path}; the paths begin with /v1/, such as /v1/status"
        return answer({"error": missing if error.status == 404 else error.reason}, error.status)
    except (UnknownError, UnusableError, NotAllowedError, FullError) as error:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return answer({"error": str(error)}, status)
    except OSError as error:
        LOG.warning("%s %s: %s", request.method, request.path, error)
        return answer({"error": str(error)}, 500)
    except Exception:
        LOG.exception("%s %s failed", request.method, request.path)
        return answer({"error": "the daemon failed on this; its log has the details (journalctl -u peerway)"}, 500)
