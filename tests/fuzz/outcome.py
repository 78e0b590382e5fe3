"""What came of reading: a value, or the one error that a reader may raise. All else goes through, and is a find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from peerway.protocols.errors import RemoteProtocolError

T = TypeVar("T")


class Refused:
    """Stands for a RemoteProtocolError, whatever it said."""


REFUSED: Final = Refused()


def outcome(read: Callable[[], T]) -> T | Refused:
    """The value, or REFUSED for a RemoteProtocolError."""
    try:
        return read()
    except RemoteProtocolError:
        return REFUSED
