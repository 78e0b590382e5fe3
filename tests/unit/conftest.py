"""Asynchronous tests run in the daemon's own kind of event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from peerway.loop import Loop


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One kind of loop, under its name."""
    return {"peerway": Loop}
