"""WireGuard devices in namespaces: the kernel's where it has them, else wireguard-go's, behind the same few calls.

Userspace devices have their sockets in /var/run/wireguard, which all network namespaces share, so device names are
unique on the whole machine. wireguard-go runs in the foreground as a child, hence it ends with its namespace.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nacl.public import PrivateKey

from peerway.lab.namespace import CommandError, Namespace, end

SOCKETS: Final = Path("/var/run/wireguard")
START_TIMEOUT: Final = 20.0  # seconds; a loaded or emulated machine is slow
_counter = itertools.count(1)


@functools.cache
def kernel_has_wireguard() -> bool:
    """Whether this kernel makes WireGuard devices; asked once, in a namespace of its own."""
    with Namespace("probe") as namespace:
        return namespace.succeeds("ip", "link", "add", "probe", "type", "wireguard")


def new_private_key() -> str:
    """A fresh private key, in base64."""
    return base64.b64encode(bytes(PrivateKey.generate())).decode()


def public_key_of(private_key: str) -> str:
    """The public key of a private one, both in base64."""
    return base64.b64encode(bytes(PrivateKey(base64.b64decode(private_key)).public_key)).decode()


@dataclass(frozen=True, slots=True)
class WireGuard:
    """
    A WireGuard device in a namespace. It is up, and has no addresses but those that somebody adds.
    """

    namespace: Namespace
    name: str
    public_key: str
    listen_port: int
    userspace: bool

    def set_peer(
        self,
        public_key: str,
        *,
        endpoint: str | None = None,
        allowed_ips: list[str] | None = None,
        keepalive: int | None = None,
    ) -> None:
        """
        `wg set DEV peer KEY ...`: add the peer, or change what is given; `allowed_ips` replaces the whole list.
        """
        words = ["wg", "set", self.name, "peer", public_key]
        words += ["endpoint", endpoint] if endpoint is not None else []
        words += ["persistent-keepalive", str(keepalive)] if keepalive is not None else []
        words += ["allowed-ips", ",".join(allowed_ips)] if allowed_ips is not None else []
        self.namespace.run(*words)

    def remove_peer(self, public_key: str) -> None:
        """
        `wg set DEV peer KEY remove`.
        """
        self.namespace.run("wg", "set", self.name, "peer", public_key, "remove")

    def allowed_ips(self) -> dict[str, set[str]]:
        """
        What `wg show DEV allowed-ips` tells: the prefixes of each peer, by public key.
        """
        return allowed_ips(self.namespace, self.name)

    def delete(self) -> None:
        """
        Remove the device; wireguard-go ends when its TUN goes.
        """
        self.namespace.ip("link", "del", self.name)


def allowed_ips(namespace: Namespace, name: str) -> dict[str, set[str]]:
    """
    The prefixes of each peer of a device, by public key, as `wg show DEV allowed-ips` prints them.
    """
    found: dict[str, set[str]] = {}
    for line in namespace.run("wg", "show", name, "allowed-ips").splitlines():
        peer, _, prefixes = line.partition("\t")
        found[peer] = set(prefixes.split()) - {"(none)"}
    return found


def unique_name(label: str = "") -> str:
    """
    A device name that no other process on this machine uses, of at most 15 characters.
    """
    return f"w{os.getpid()}-{next(_counter)}{label}"[:15]


def create(
    namespace: Namespace,
    name: str | None = None,
    *,
    private_key: str | None = None,
    listen_port: int = 51820,
    userspace: bool | None = None,
) -> WireGuard:
    """
    Make a WireGuard device and set it up. `userspace` chooses wireguard-go (True) or the kernel (False); None takes
    the kernel if it can. Raises CommandError with the reason if there is neither.
    """
    name = name or unique_name()
    private_key = private_key or new_private_key()
    userspace = not kernel_has_wireguard() if userspace is None else userspace
    if userspace:
        _start_wireguard_go(namespace, name)
    else:
        namespace.ip("link", "add", name, "type", "wireguard")
    namespace.run(
        "wg", "set", name, "listen-port", str(listen_port), "private-key", "/proc/self/fd/0", input=private_key
    )
    namespace.ip("link", "set", name, "up")
    return WireGuard(namespace, name, public_key_of(private_key), listen_port, userspace)


def connect(left: WireGuard, right: WireGuard, left_address: str, right_address: str) -> None:
    """
    Make two devices peers of each other, at these underlay addresses, without AllowedIPs.
    """
    left.set_peer(right.public_key, endpoint=f"{_bracketed(right_address)}:{right.listen_port}")
    right.set_peer(left.public_key, endpoint=f"{_bracketed(left_address)}:{left.listen_port}")


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _start_wireguard_go(namespace: Namespace, name: str) -> None:
    """Start wireguard-go and wait until it answers on its socket."""
    program = shutil.which("wireguard-go")
    if program is None:
        raise CommandError("this kernel has no WireGuard and wireguard-go is missing: apt-get install wireguard-go")
    path = SOCKETS / f"{name}.sock"
    if _answers(path):
        raise CommandError(f"another userspace device on this machine is called {name}: {path} answers")
    path.unlink(missing_ok=True)  # a killed daemon leaves it
    process = namespace.popen(program, name, env={"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"})
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > deadline:
            end(process)
            raise CommandError(f"in {namespace.name}: wireguard-go {name} did not start (status {process.returncode})")
        time.sleep(0.01)


def _answers(path: Path) -> bool:
    """Whether somebody listens on the socket."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True
    return False
