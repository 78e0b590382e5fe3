"""Signals that end a program become exceptions, so that context managers take their namespaces away."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final, NoReturn

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def raising_at_the_end() -> Iterator[None]:
    """
    SIGTERM and SIGHUP raise SystemExit (128 + number) inside this `with`, as SIGINT raises KeyboardInterrupt anyway.
    Only for the main thread.
    """

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        for ending in ENDING:
            signal.signal(ending, signal.SIG_IGN)  # a second one must not interrupt the clearing up
        raise SystemExit(128 + number)

    before = [(number, signal.signal(number, leave)) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
