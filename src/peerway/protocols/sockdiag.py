"""Which unix sockets listen in our network namespace, and at which files: sock_diag(7), linux/unix_diag.h."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

SOCK_DIAG_BY_FAMILY: Final = 20
AF_UNIX: Final = 1
TCP_LISTEN: Final = 10
UDIAG_SHOW_NAME: Final = 1
UDIAG_SHOW_VFS: Final = 2
UNIX_DIAG_NAME: Final = 0
UNIX_DIAG_VFS: Final = 1

_REQUEST: Final = Struct("=BBHIIIII")  # family, protocol, pad, states, inode, show, cookie (all ones: none)
_ANSWER: Final = Struct("=BBBxIII")  # family, type, state, inode of the socket, cookie
_VFS: Final = Struct("=II")  # inode of the file, device
_NO_COOKIE: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Listener:
    """
    A listening unix socket: the path that it was bound to, and the low 32 bits of that file's inode number.
    """

    path: str
    inode: int


def listeners_request() -> bytes:
    """
    The payload of a SOCK_DIAG_BY_FAMILY dump of the unix sockets that listen.
    """
    show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS
    return _REQUEST.pack(AF_UNIX, 0, 0, 1 << TCP_LISTEN, 0, show, _NO_COOKIE, _NO_COOKIE)


def listener(payload: nl.Buffer) -> Listener | None:
    """
    Read one message of the answer; None for a socket that has no file. Raises RemoteProtocolError.
    """
    if len(payload) < _ANSWER.size:
        raise RemoteProtocolError(f"sock_diag: an answer has {len(payload)} bytes")
    found = nl.attributes(memoryview(payload)[_ANSWER.size :])
    if UNIX_DIAG_NAME not in found or UNIX_DIAG_VFS not in found:
        return None
    if len(found[UNIX_DIAG_VFS]) != _VFS.size:
        raise RemoteProtocolError(f"sock_diag: a file is told in {len(found[UNIX_DIAG_VFS])} bytes")
    inode, _ = _VFS.unpack(found[UNIX_DIAG_VFS])
    return Listener(nl.text(found[UNIX_DIAG_NAME]), inode)
