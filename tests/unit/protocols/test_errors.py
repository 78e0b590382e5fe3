"""The errors of codecs and protocol machines: whose fault it was can be told apart, and both be caught as one."""

from __future__ import annotations

import pytest

from peerway.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError


@pytest.mark.parametrize("kind", [LocalProtocolError, RemoteProtocolError])
def test_both_are_protocol_errors_and_value_errors(kind: type[ProtocolError]) -> None:
    """Whoever does not care whose fault it was catches ProtocolError, or ValueError."""
    assert issubclass(kind, ProtocolError)
    assert issubclass(kind, ValueError)


def test_neither_is_the_other() -> None:
    """Bytes from outside are never taken for a mistake of our own."""
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
