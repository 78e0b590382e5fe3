"""Three sites for traffic: one in the middle, with peerway, and two others that it has as peers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace, link
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon
from tests.harness.train import Stop, Train

TARGET = "10.77.0.1"  # an address that both far sites have
SOURCE = "10.0.0.1"
OWN = {"a": "10.0.1.1", "b": "10.0.2.1"}
GUEST = bool(os.environ.get("IN_GUEST"))
INTERVAL = 0.005 if GUEST else 0.0005  # seconds; the closer the packets, the shorter the gap that they find


class Sites:
    """A site with peerway in the middle of two others that it has as peers."""

    def __init__(self, make: Callable[[str], Namespace]) -> None:
        self.here = wireguard.create(make("here"))
        self.here.namespace.ip("address", "add", f"{SOURCE}/32", "dev", "lo")
        self.far: dict[str, WireGuard] = {}
        for number, (name, own) in enumerate(OWN.items(), 1):
            namespace = make(name)
            link(self.here.namespace, namespace, [f"192.0.2.{number * 4 + 1}/30"], [f"192.0.2.{number * 4 + 2}/30"])
            far = self.far[name] = wireguard.create(namespace)
            wireguard.connect(self.here, far, f"192.0.2.{number * 4 + 1}", f"192.0.2.{number * 4 + 2}")
            far.set_peer(self.here.public_key, allowed_ips=[f"{SOURCE}/32"])
            namespace.batch(
                [
                    f"address add {TARGET}/32 dev lo",
                    f"address add {own}/32 dev lo",
                    f"route add {SOURCE}/32 dev {far.name}",
                ]
            )
            self.here.set_peer(far.public_key, allowed_ips=[f"{own}/32"])

    def key(self, name: str) -> PublicKey:
        return PublicKey.parse(self.far[name].public_key)

    def gateway(self, name: str) -> str:
        return px.address_text(derived_address(px.parse("fe80::/64"), self.key(name)))

    def route(self, verb: str, prefix: str, name: str) -> None:
        here = self.here
        here.namespace.ip("route", verb, prefix, "via", "inet6", self.gateway(name), "dev", here.name, "src", SOURCE)

    def greet(self, daemon: Daemon) -> None:
        """Wait until both answer: handshakes are done, peerway has routed the pinned addresses."""
        for own in OWN.values():
            daemon.settle(partial(self.answers, own), what=f"an answer of {own}")

    def answers(self, address: str) -> bool:
        return self.here.namespace.succeeds("ping", "-q", "-c", "1", "-W", "2", "-I", SOURCE, address)

    def train(self, interval: float = INTERVAL) -> Train:
        stops = [Stop(name, far.namespace, OWN[name]) for name, far in self.far.items()]
        return Train(self.here.namespace, SOURCE, TARGET, stops, interval)

    def ping(self, address: str, count: int) -> subprocess.Popen[bytes]:
        words = ("ping", "-q", "-i", "0.01", "-c", str(count), "-W", "5", "-I", SOURCE, address)
        return self.here.namespace.popen(*words, stdout=subprocess.PIPE)

    def echoes(self, name: str) -> int:
        """How many echo requests a far site has received."""
        names, values = (
            line.split()
            for line in self.far[name].namespace.run("cat", "/proc/net/snmp").splitlines()
            if line.startswith("Icmp:")
        )
        return int(values[names.index("InEchos")])
