"""What the process may still do. Capabilities that are not needed are given up for good, and no program can give them
back (capabilities(7), prctl(2)).

The process stays who it is. As root it keeps root's files within reach, but no more of root's power than is named here.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

CAP_CHOWN: Final = 0  # to give the control socket to a group
CAP_DAC_OVERRIDE: Final = 1  # to reach sockets of userspace WireGuard that belong to somebody else
CAP_NET_ADMIN: Final = 12
CAP_NET_RAW: Final = 13  # to open the nlmon tap

PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_VERSION_3: Final = 0x20080522  # of capget(2) and capset(2): two words of 32 bits for each set
PROC: Final = Path("/proc")

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def has(capability: int) -> bool:
    """
    Whether the calling thread has a capability now. Where that cannot be read, whether it is root's.
    """
    found = _effective(PROC / "thread-self/status")
    return os.geteuid() == 0 if found is None else bool(found >> capability & 1)


def process_has(pid: int, capability: int) -> bool:
    """
    Whether another process has a capability; no, if that cannot be seen.
    """
    return bool((_effective(PROC / f"{pid}/status") or 0) >> capability & 1)


def _effective(status: Path) -> int | None:
    with suppress(OSError, ValueError):
        for line in status.read_text().splitlines():
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return None


def keep(capabilities: Collection[int]) -> None:
    """
    Give up all capabilities but these, of which those that are not there are not gained. Threads that run already are
    not concerned, so call it before there are any. Raises OSError if a sandbox forbids it.
    """
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_DUMPABLE, 0)  # no core dump, and no debugger of the same user: memory may hold a key for a moment
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    with suppress(OSError):  # without CAP_SETPCAP; then whoever started us has done it, or nothing can be gained by it
        capability = 0
        while _prctl(PR_CAPBSET_READ, capability, allowed=True) >= 0:
            if capability not in capabilities:
                _prctl(PR_CAPBSET_DROP, capability)
            capability += 1
    header, words = _Header(_VERSION_3, 0), (_Word * 2)()
    _checked(_libc.capget(ctypes.byref(header), words), "capget")
    for number, word in enumerate(words):
        mask = sum(1 << capability - 32 * number for capability in capabilities if capability // 32 == number)
        word.permitted &= mask
        word.effective = word.permitted
        word.inheritable = 0
    _checked(_libc.capset(ctypes.byref(header), words), "capset")


def _prctl(option: int, argument: int, *, allowed: bool = False) -> int:
    result: int = _libc.prctl(option, *map(ctypes.c_ulong, (argument, 0, 0, 0)))
    return result if allowed else _checked(result, f"prctl {option}")


def _checked(result: int, doing: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
    return result
