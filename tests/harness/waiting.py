"""Waiting for the world: a test says what must become true, and sees what it was instead if it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds; a limit for a broken program, not an expectation. An emulated machine is 20 times slower.
TIMEOUT = 240.0 if "IN_GUEST" in os.environ else 20.0


class NotSettledError(AssertionError):
    """What was waited for did not come true in time."""


def settle(
    predicate: Callable[[], T], timeout: float = TIMEOUT, *, what: str = "", tell: Callable[[], str] = lambda: ""
) -> T:
    """
    Wait until `predicate` gives something true, and return it. An AssertionError in it counts as not yet.

    Raises NotSettledError with the last value or assertion, and with what `tell` says of the state of things.
    """
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        try:
            value = predicate()
            last = repr(value)
            if value:
                return value
        except AssertionError as error:
            last = str(error) or "an assertion that says nothing"
        if time.monotonic() > deadline:
            sentence = what or getattr(predicate, "__doc__", None) or "the state"
            raise NotSettledError(f"after {timeout:g} s: {sentence} did not come true; last seen: {last}\n{tell()}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
