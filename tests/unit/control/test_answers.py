"""Answers; what the server makes of them is in test_server."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from peerway.control.answers import FullError, NotAllowedError, answer, errors_as_json
from peerway.control.api import UnknownError, UnusableError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnusableError("words"), 400),
        (NotAllowedError("words"), 403),
        (UnknownError("words"), 404),
        (FullError("words"), 503),
        (OSError(16, "words"), 500),
    ],
)
async def test_each_error_has_its_status_and_keeps_its_words(error: Exception, status: int) -> None:
    """What is raised with a sentence for the user is told with it."""

    async def fails(_: web.Request) -> web.StreamResponse:
        raise error

    told = await errors_as_json(make_mocked_request("GET", "/v1/status"), fails)
    assert isinstance(told, web.Response)
    assert told.status == status
    assert "words" in json.loads(told.text or "")["error"]


def test_an_answer_is_a_line_of_json() -> None:
    """It ends with a newline, for people who use curl."""
    assert answer({"version": 1}).text == '{"version": 1}\n'
