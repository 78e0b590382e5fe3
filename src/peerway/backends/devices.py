"""The WireGuard devices of our network namespace, of the kernel and of userspace programs."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from peerway.backends.inotify import DirectoryWatch
from peerway.backends.kernel import KernelDevice
from peerway.backends.netlink import NetlinkSocket
from peerway.backends.userspace import UserspaceDevice
from peerway.model.link import Link
from peerway.model.ports import DeviceHandle
from peerway.protocols import sockdiag
from peerway.protocols.errors import RemoteProtocolError

SOCKETS: Final = Path("/var/run/wireguard")
NETLINK_SOCK_DIAG: Final = 4
_LOW: Final = 0xFFFFFFFF

log = logging.getLogger(__name__)


class WireguardDevices:
    """
    Finds devices (model.ports.Devices).

    Links of kind "wireguard" are the kernel's. A userspace program has a TUN link, and a socket of the same name in a
    directory that all network namespaces may share; so one counts only if a socket that was bound in OUR namespace
    listens at that file.
    """

    def __init__(self, sockets: Path = SOCKETS) -> None:
        """
        `sockets` is where userspace programs have their sockets. The network namespace is the calling thread's.
        """
        self.mark = int.from_bytes(os.urandom(4), sys.byteorder) or 1
        """What our requests to the kernel bear, and nobody else's (protocols/nlmon.py)."""
        self._sockets = sockets
        self._told = False  # that permission is missing
        self._handles: dict[int, KernelDevice | UserspaceDevice] = {}
        try:
            self._watch: DirectoryWatch | None = DirectoryWatch(sockets)
        except OSError as error:
            log.warning("no hints about new userspace devices, they are looked for now and then: %s", error)
            self._watch = None

    async def find(self, links: Iterable[Link]) -> dict[int, DeviceHandle]:
        """
        The devices among these links, by ifindex. A handle is the same object as long as its link is; the others are
        closed.
        """
        links = list(links)
        found = {link.ifindex: self._kernel(link) for link in links if link.kind == "wireguard"}
        found |= {link.ifindex: self._userspace(link) for link in self._with_sockets(links)}
        for ifindex, handle in self._handles.items():
            if found.get(ifindex) is not handle:
                await handle.close()
        self._handles = found
        return dict(found)

    def fileno(self) -> int | None:
        """
        Readable when sockets came or went.
        """
        return self._watch.fileno() if self._watch else None

    def read_hints(self) -> bool:
        """
        Read what waits at `fileno`; whether sockets came or went.
        """
        return self._watch is not None and self._watch.read_hints()

    async def close(self) -> None:
        """
        Close all handles, and the watch.
        """
        for handle in self._handles.values():
            await handle.close()
        self._handles = {}
        if self._watch:
            self._watch.close()
            self._watch = None

    def _kernel(self, link: Link) -> KernelDevice | UserspaceDevice:
        known = self._handles.get(link.ifindex)
        if isinstance(known, KernelDevice):
            known.name = link.name
            return known
        return KernelDevice(link.name, link.ifindex, self.mark)

    def _userspace(self, link: Link) -> KernelDevice | UserspaceDevice:
        known = self._handles.get(link.ifindex)
        if isinstance(known, UserspaceDevice) and known.name == link.name:
            return known
        return UserspaceDevice(link.name, link.ifindex, self._sockets / f"{link.name}.sock")

    def _with_sockets(self, links: Iterable[Link]) -> list[Link]:
        # The inode alone is compared: on an overlay the two sides see different device numbers.
        inodes: dict[int, Link] = {}
        for link in links:
            if link.kind == "tun":
                try:
                    inodes[os.stat(self._sockets / f"{link.name}.sock").st_ino & _LOW] = link  # noqa: PTH116 - stat only
                except PermissionError:
                    self._tell_of_permission(link)
                except OSError:
                    continue  # it is some other program's
        if not inodes:
            return []
        ours = {(one.inode, one.path.rpartition("/")[2]) for one in listeners()}
        return [link for inode, link in inodes.items() if (inode, f"{link.name}.sock") in ours]

    def _tell_of_permission(self, link: Link) -> None:
        if not self._told:
            self._told = True
            log.warning(
                "no permission for %s: if %s or another link is userspace WireGuard, run peerway as root, or with "
                "CAP_DAC_OVERRIDE (peerway.service.d/userspace.conf)",
                self._sockets,
                link.name,
            )


def listeners() -> list[sockdiag.Listener]:
    """
    The listening unix sockets that were bound in the calling thread's network namespace and have a file.

    Raises OSError: ENOENT on a kernel without CONFIG_UNIX_DIAG.
    """
    found = []
    with NetlinkSocket(NETLINK_SOCK_DIAG) as sock:
        doing = "asking which unix sockets listen"
        for _, payload in sock.dump(sockdiag.SOCK_DIAG_BY_FAMILY, sockdiag.listeners_request(), doing=doing):
            with contextlib.suppress(RemoteProtocolError):
                one = sockdiag.listener(payload)
                if one:
                    found.append(one)
    return found
