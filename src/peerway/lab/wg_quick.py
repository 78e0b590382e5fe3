"""wg-quick in a namespace: an interface from a configuration file, brought up, changed by `wg syncconf`, taken down."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard, kernel_has_wireguard, new_private_key, public_key_of, unique_name


@dataclass(frozen=True, slots=True)
class QuickPeer:
    """
    A [Peer] section.
    """

    public_key: str
    endpoint: str
    allowed_ips: Iterable[str]

    def text(self) -> str:
        """
        The section as wg-quick(8) reads it.
        """
        lines = ["[Peer]", f"PublicKey = {self.public_key}", f"Endpoint = {self.endpoint}"]
        return "\n".join([*lines, f"AllowedIPs = {', '.join(self.allowed_ips)}", ""])


@dataclass(slots=True)
class WgQuick:
    """
    One interface of wg-quick, whose file is below `home`. Userspace devices need a name that is unique on the machine.
    """

    namespace: Namespace
    home: Path
    name: str = field(default_factory=unique_name)
    listen_port: int = 51820
    _private_key: str = field(default_factory=new_private_key, repr=False)

    @property
    def config(self) -> Path:
        """
        The file; wg-quick takes the interface's name from it.
        """
        return self.home / f"{self.name}.conf"

    @property
    def wg(self) -> WireGuard:
        """
        The device, which is there while the interface is up.
        """
        public_key = public_key_of(self._private_key)
        return WireGuard(self.namespace, self.name, public_key, self.listen_port, not kernel_has_wireguard())

    def write(self, peers: Iterable[QuickPeer], *, addresses: Iterable[str] = (), table: str = "auto") -> None:
        """
        Write the file.
        """
        lines = ["[Interface]", f"PrivateKey = {self._private_key}", f"ListenPort = {self.listen_port}"]
        lines += [f"Address = {address}" for address in addresses]
        descriptor = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join([*lines, f"Table = {table}", "", *(peer.text() for peer in peers)]))

    def up(self) -> None:
        """
        `wg-quick up`. Raises CommandError.
        """
        self._run("up")

    def down(self) -> None:
        """
        `wg-quick down`. Raises CommandError.
        """
        self._run("down")

    def syncconf(self) -> None:
        """
        `wg syncconf NAME <(wg-quick strip NAME)`, as wg-quick(8) shows it. Raises CommandError.
        """
        self.namespace.run("wg", "syncconf", self.name, "/dev/stdin", input=self._run("strip"))

    def _run(self, verb: str) -> str:
        return self.namespace.run("wg-quick", verb, str(self.config))
