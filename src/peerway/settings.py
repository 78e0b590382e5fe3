"""What the daemon needs of a configuration: plain values, without the libraries that read and check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from peerway.model.policy import PeerPolicy, Policy

DEFAULT_FILE: Final = Path("/etc/peerway/peerway.yaml")


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What the file gives for a name or glob of interfaces: fields of Policy, and below each peer's name `public_key` and
    `accept`. What is not given is not in it.
    """

    given: Mapping[str, Any]
    peers: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """
    Settings of the daemon as a whole; the times are seconds.
    """

    control_socket: Path = Path("/run/peerway/control.sock")
    read_group: int | None = None  # by number; None = the group that the daemon runs with
    admin_group: int | None = None
    state_directory: Path = Path("/run/peerway")
    poll_interval: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The whole, `interfaces` by name or glob in the order of the file.
    """

    daemon: DaemonSettings = DaemonSettings()
    interfaces: Mapping[str, Entry] = field(default_factory=dict)

    def policy(self, interface: str) -> Policy:
        """
        The settings of one interface: all entries that match its name, later ones over earlier ones, key by key.
        """
        given: dict[str, Any] = {}
        peers: dict[str, dict[str, Any]] = {}
        for pattern, entry in self.interfaces.items():
            if fnmatchcase(interface, pattern):
                given |= entry.given
                for name, peer in entry.peers.items():
                    peers[name] = {**peers.get(name, {}), **peer}
        named = {
            peer["public_key"]: PeerPolicy(name, peer.get("accept"))
            for name, peer in peers.items()
            if "public_key" in peer
        }
        return Policy(**given, peers=named)
