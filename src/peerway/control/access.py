"""Who is at the other end of the control socket, and what they may do there.

The kernel tells who connected: user, group and further groups, as they were at connect(). Whatever the file's mode
says, each request is judged by these.
"""

from __future__ import annotations

import grp
import os
import socket
import struct
from array import array
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

_UCRED: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS: Final = 59  # since Linux 4.13; not in Python's socket module
_GROUPS_READ: Final = 1024  # bytes, the most that Python's getsockopt takes: 256 groups


class Connected(Protocol):
    """
    A connected unix socket, or what the event loop makes of it.
    """

    def getsockopt(self, level: int, name: int, size: int, /) -> bytes:
        """The value of an option, as bytes (socket(7))."""
        ...


class Level(IntEnum):
    """
    What somebody may do: nothing, ask, or also change.
    """

    NOTHING = 0
    READ = 1
    CHANGE = 2


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    Who is at the other end of a connection (SO_PEERCRED and SO_PEERGROUPS, unix(7)): as it was at connect().
    """

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


def credentials_of(connection: Connected) -> Credentials:
    """
    Who connected. Of somebody in more than 256 groups only the first one counts.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    groups = array("I")
    with suppress(OSError):
        groups.frombytes(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_READ))
    return Credentials(pid, uid, gid, frozenset(groups))


@dataclass(frozen=True, slots=True)
class Access:
    """
    Root and the daemon's own user may change things, and so may members of `admins`; members of `readers` may ask.
    """

    readers: frozenset[int]
    admins: frozenset[int] = frozenset()
    users: frozenset[int] = frozenset({0})

    @classmethod
    def of(cls, read_group: int | None = None, admin_group: int | None = None) -> Access:
        """
        As the settings say. Without a group for readers it is the daemon's own.
        """
        readers = os.getegid() if read_group is None else read_group
        admins = frozenset[int]() if admin_group is None else frozenset({admin_group})
        return cls(frozenset({readers}), admins, frozenset({0, os.geteuid()}))

    @property
    def groups(self) -> frozenset[int]:
        """
        All groups whose members may do something.
        """
        return self.readers | self.admins

    def level(self, caller: Credentials) -> Level:
        """
        What this caller may do.
        """
        groups = caller.groups | {caller.gid}
        if caller.uid in self.users or groups & self.admins:
            return Level.CHANGE
        return Level.READ if groups & self.readers else Level.NOTHING

    def refusal(self, needed: Level) -> str:
        """
        The sentence for somebody whose level is below this one.
        """
        groups = self.admins if needed is Level.CHANGE else self.groups
        who = "".join(f", or a member of the group {_name(group)}" for group in sorted(groups - {0}))
        return f"permission denied: be root (sudo){who}"


def _name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
