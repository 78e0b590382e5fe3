"""What a codec or a protocol machine raises: one error for wrong use, one for malformed bytes."""

from __future__ import annotations


class ProtocolError(ValueError):
    """
    The base of both.
    """


class LocalProtocolError(ProtocolError):
    """
    This side asked for something that the protocol does not have: our own mistake.
    """


class RemoteProtocolError(ProtocolError):
    """
    The bytes that came are not what the protocol says. The text names what was read, and never repeats a key.
    """
