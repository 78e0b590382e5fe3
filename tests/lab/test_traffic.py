"""Packets under change: none is lost when a prefix moves to another peer, nor when another prefix is taken away."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from peerway.backends.chunks import Chunk
from peerway.backends.device import BaseDevice
from peerway.lab.namespace import Namespace
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from tests.harness.daemon import Daemon
from tests.harness.hand import Hand
from tests.harness.traffic import GUEST, OWN, SOURCE, TARGET, Sites

MOVES = 8 if GUEST else 40
MANY = 50_000
PATIENCE = 120.0  # seconds


@pytest.fixture
def sites(namespaces: Callable[[str], Namespace]) -> Sites:
    return Sites(namespaces)


def summary(ping: subprocess.Popen[bytes]) -> tuple[int, int]:
    """How many ping sent and received, when it has ended."""
    told = ping.communicate(timeout=60)[0].decode()
    found = re.search(r"(\d+) packets transmitted, (\d+) received", told)
    assert found, told
    return int(found[1]), int(found[2])


def test_a_prefix_moves_under_a_running_train(sites: Sites, daemon: Callable[..., Daemon]) -> None:
    """Moved from peer to peer and back while packets run, a prefix is never without an owner: none is lost."""
    running = daemon(sites.here.namespace)
    sites.greet(running)
    sites.route("add", f"{TARGET}/32", "a")
    running.settle(lambda: sites.answers(TARGET), what="the first answer")
    before = sum(sites.echoes(name) for name in sites.far)
    count = 320
    with sites.train() as train:
        ping = sites.ping(TARGET, count)
        for number in range(MOVES):
            name = "ba"[number % 2]
            sites.route("replace", f"{TARGET}/32", name)
            running.settle(partial(train.is_at, name), what=f"answers of {name}")
        sent, received = summary(ping)
    assert (train.lost(), train.twice) == ([], 0)
    assert set(train.answers.values()) == set(sites.far)
    # Each request of ping arrived too; of its answers those that were on their way at a move may be dropped, since
    # they come from an address that the former peer no longer has.
    assert sum(sites.echoes(name) for name in sites.far) - before == sent == count
    print(
        f"{train.sent} datagrams, all answered; {sent} echo requests, all arrived, {sent - received} answers too late"
    )
    assert sites.here.allowed_ips()[sites.far["a"].public_key] >= {f"{TARGET}/32", f"{OWN['a']}/32"}


def test_a_route_that_goes_leaves_the_packets_to_the_next(sites: Sites, daemon: Callable[..., Daemon]) -> None:
    """When the better of two routes is withdrawn, its peer goes on until the other one has the prefix: none is lost."""
    running = daemon(sites.here.namespace)
    sites.greet(running)
    here, prefix = sites.here, f"{TARGET}/32"
    sites.route("add", prefix, "a")
    words = ("via", "inet6", sites.gateway("b"), "dev", here.name, "metric", "9", "src", SOURCE)
    here.namespace.ip("route", "add", prefix, *words)
    running.settle(lambda: sites.answers(TARGET), what="the first answer")
    with sites.train() as train:
        running.settle(partial(train.is_at, "a"), what="answers of a")
        for _ in range(MOVES // 2):
            here.namespace.ip("route", "del", prefix, "metric", "0")
            running.settle(partial(train.is_at, "b"), what="answers of b")
            sites.route("add", prefix, "a")
            running.settle(partial(train.is_at, "a"), what="answers of a")
    assert (train.lost(), train.twice) == ([], 0)


# one of 50,000


def many(count: int) -> list[Prefix]:
    return [Prefix((20 << 24 | number << 8) << 8 | 24) for number in range(count)]


@pytest.mark.parametrize("way", ["as the device can", "by throwaway peer"])
def test_one_of_many_is_taken_away(
    sites: Sites, daemon: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """One AllowedIP of 50,000 goes with its route; the others are untouched, and packets to one of them go on."""
    if way == "by throwaway peer":

        async def cannot(_device: BaseDevice, chunks: Iterator[Chunk], _refusals: object) -> Iterator[Chunk]:
            return chunks

        monkeypatch.setattr(BaseDevice, "_take_all", cannot)  # the daemon is forked from here
    key = sites.key("a")
    here = sites.here
    running = daemon(here.namespace, {"interfaces": {"*": {"route_sync": "routes-to-peers"}}})
    Hand(here).give((prefix, key) for prefix in [*many(MANY), px.parse(f"{TARGET}/32")])
    here.namespace.batch(f"route add {own} dev {here.name} src {SOURCE}" for own in (TARGET, *OWN.values()))
    running.settle(lambda: sites.answers(TARGET), what="the first answer")
    running.settle(partial(learned, running, 0), PATIENCE, what="the daemon to see all pinned ones")
    before = here.allowed_ips()
    assert len(before[str(key)]) > MANY
    victims = ["20.100.7.0/25", "21.0.0.0/8"]  # one inside a pinned one, one around many
    for victim in victims:
        sites.route("add", victim, "a")
    running.settle(partial(learned, running, len(victims)), PATIENCE, what="the learned prefixes")
    assert here.allowed_ips()[str(key)] == before[str(key)] | set(victims)
    with sites.train() as train:
        ping = sites.ping(TARGET, 200)
        for victim in victims:
            here.namespace.ip("route", "del", victim)
        running.settle(partial(learned, running, 0), PATIENCE, what="the learned prefixes to go")
        sent, received = summary(ping)
    assert (sent, train.lost(), train.twice) == (received, [], 0)
    assert here.allowed_ips() == before


def learned(daemon: Daemon, count: int) -> bool:
    """Whether the daemon has seen all pinned prefixes, and that many were learned."""
    with contextlib.suppress(TimeoutError):  # an emulated machine is busy with so many for a while
        counts = daemon.get("/v1/status")["interfaces"][0]["counts"]
        return bool(counts["pinned"] > MANY and counts["learned"] == count)
    return False
