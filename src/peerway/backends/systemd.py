"""What systemd and the daemon tell each other: readiness, signs of life, and a socket that was opened before the start
(sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)). Without systemd nothing of this does anything.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

FIRST: Final = 3  # SD_LISTEN_FDS_START


def notify(state: str) -> None:
    """
    Tell systemd, if it listens.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)


class Watchdog:
    """
    Signs of life, half as long apart as systemd waits for one. Its `deadline` is when one is due, far away if systemd
    does not want any.
    """

    def __init__(self, now: float) -> None:
        """
        `now` is of the clock that all times are.
        """
        self.interval = _interval()
        self.deadline = now + self.interval

    def alive(self, now: float) -> None:
        """
        Something was done: say so if it is time to.
        """
        if now >= self.deadline:
            notify("WATCHDOG=1")
            self.deadline = now + self.interval


def _interval() -> float:
    with suppress(ValueError):
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
        if microseconds > 0 and os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            return microseconds / 2_000_000
    return float("inf")


def listening_socket() -> socket.socket | None:
    """
    The unix socket that systemd listens on for us, None if there is none. What else it hands over is closed. Only the
    first call can give it.
    """
    count = os.environ.pop("LISTEN_FDS", "")
    mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    os.environ.pop("LISTEN_FDNAMES", None)
    found: socket.socket | None = None
    for number in range(FIRST, FIRST + int(count)) if mine and count.isdecimal() else ():
        os.set_inheritable(number, False)  # noqa: FBT003 - its only form
        one = socket.socket(fileno=number)
        if found is None and _listens(one):
            one.setblocking(False)  # noqa: FBT003 - its only form
            found = one
        else:
            one.close()
    return found


def _listens(one: socket.socket) -> bool:
    return (
        one.family == socket.AF_UNIX
        and one.type == socket.SOCK_STREAM
        and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )
