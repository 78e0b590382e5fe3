"""The table as notifications build it, beside the kernel's own dump after each of many random commands."""

from __future__ import annotations

import os
import random

import pytest

from peerway.backends.rtnetlink import Rtnetlink
from peerway.lab.namespace import CommandError, Namespace
from peerway.model.rib import Rib
from peerway.model.route import Path, RouteChange

BOOT = 3  # the protocol of what ip(8) adds
COMMANDS = 40 if os.environ.get("IN_GUEST") else 150


def _ours(path: Path) -> bool:
    return path.protocol == BOOT


class Commands:
    """Random `ip route` commands about two prefixes. Without a gateway a route has a metric of its own, for the
    kernel's dump passes over an IPv6 route that stands between the next hops of another.
    """

    def __init__(self, family: str, seed: int) -> None:
        self.dice, self.v4 = random.Random(seed), family == "-4"

    def gateway(self) -> str:
        number = self.dice.randint(5, 7)
        return f"via 10.0.0.{number}" if self.v4 else f"via fe80::{number} dev v0"

    def hops(self) -> str:
        return " ".join(f"nexthop {self.gateway()} weight {self.dice.randint(1, 3)}" for _ in range(2))

    def draw(self) -> str:
        pick = self.dice.choice
        prefix = pick(["10.1.0.0/24", "10.2.0.0/24"] if self.v4 else ["fd01::/64", "fd02::/64"])
        verb = pick(["add", "append", "prepend", "replace", "change", "del", "del", "del"])
        metric, table = pick(["", "metric 32", "metric 64"]), pick(["", "", "", "table 500", "table 77"])
        more = pick(["", "", "", "tos 0x10"] if self.v4 else ["", "", "", "from fd00:6::/48", "from fd00:7::/48"])
        what = pick(["dev v0 metric 99", self.hops(), self.gateway(), self.gateway()])
        if verb == "del" and self.dice.random() < 0.2:
            what = ""
        return f"route {verb} {prefix} {more} {what} {'' if '99' in what else metric} {table}"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", ["-4", "-6"])
def test_notifications_alone_build_what_the_kernel_dumps(namespace: Namespace, family: str, seed: int) -> None:
    """After each command the table is what a dump says, order included, or it says itself that it is in doubt."""
    namespace.batch(
        [
            "link add v0 type veth peer name v1",
            "link set v0 up",
            "link set v1 up",
            "address add 10.0.0.1/24 dev v0",
            "address add fd00:5::1/64 dev v0",
        ]
    )
    with namespace.enter():
        edge = Rtnetlink()
    commands, done = Commands(family, seed), []
    with edge:
        rib = Rib(_ours)
        for _ in range(COMMANDS):
            command = commands.draw()
            try:
                namespace.batch([command], family=family)
            except CommandError:
                continue
            done.append(command)
            for change in edge.read_changes():
                if isinstance(change, RouteChange):
                    rib.apply(change)
            in_doubt = rib.uncertain
            assert not rib.load(edge.routes(_ours)) or in_doubt, "\n".join(done)
    assert len(done) > COMMANDS / 4
