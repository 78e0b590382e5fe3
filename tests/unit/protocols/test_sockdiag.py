"""Listening unix sockets: the request asks for those, and the answer names file and inode."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from peerway.protocols import netlink as nl
from peerway.protocols import sockdiag
from peerway.protocols.errors import RemoteProtocolError

HEADER = struct.pack("=BBBxIII", 1, 1, 10, 4711, 5, 6)


def test_request_asks_for_listeners_with_their_files() -> None:
    """AF_UNIX, state LISTEN only, names and files."""
    family, _, _, states, _, show, *_ = struct.unpack("=BBHIIIII", sockdiag.listeners_request())
    assert (family, states, show) == (1, 1 << 10, 3)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), st.integers(0, 2**32 - 1))
def test_listener_is_read(path: str, inode: int) -> None:
    """The path that it was bound to, with or without a NUL, and the file's inode, not the socket's."""
    vfs = nl.attribute(1, struct.pack("=II", inode, 24))
    for name in (nl.attribute_text(0, path), nl.attribute(0, path.encode())):
        assert sockdiag.listener(HEADER + name + vfs) == sockdiag.Listener(path, inode)


def test_socket_without_a_file_is_none() -> None:
    """Abstract and unnamed sockets have no file."""
    assert sockdiag.listener(HEADER + nl.attribute(0, b"\0abstract")) is None
    assert sockdiag.listener(HEADER) is None


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: HEADER + rest))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes, the reader returns or raises RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        sockdiag.listener(data)
