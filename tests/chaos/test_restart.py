"""Restarts and reloads under traffic: packets go on as if nothing was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from peerway.lab.namespace import Namespace
from tests.chaos.extent import extent
from tests.harness.daemon import Daemon
from tests.harness.traffic import GUEST, OWN, TARGET, Sites
from tests.harness.waiting import settle

RESTARTS = extent(100, 6, 2)
RELOADS = extent(100, 6, 2)
INTERVAL = 0.005 if GUEST else 0.001  # seconds


@pytest.fixture
def sites(namespaces: Callable[[str], Namespace], daemon: Callable[..., Daemon]) -> tuple[Sites, Daemon]:
    """Packets to TARGET go to a, because of a route; those to the sites' own addresses because they are pinned."""
    sites = Sites(namespaces)
    running = daemon(sites.here.namespace)
    sites.greet(running)
    sites.route("add", f"{TARGET}/32", "a")
    running.settle(lambda: sites.answers(TARGET), what="the first answer")
    return sites, running


def lost_without_anything(sites: Sites, count: int) -> int:
    """How many of so many packets are lost when nothing happens."""
    with sites.train(INTERVAL) as train:
        settle(lambda: train.sent >= count, 600.0, what="as many packets")
    return len(train.lost())


def no_more_are_lost(sites: Sites, train: Any) -> None:
    """None is lost, or no more than without anything."""
    lost, twice = train.lost(), train.twice
    assert twice == 0
    assert not lost or len(lost) <= lost_without_anything(sites, train.sent)


def test_no_packet_is_lost_across_restarts(sites: tuple[Sites, Daemon]) -> None:
    """Killed or stopped cleanly and started again under a running train, peerway costs no packet."""
    here, running = sites
    with here.train(INTERVAL) as train:
        for number in range(RESTARTS):
            if number % 2:
                running.kill()
            else:
                assert running.stop() == 0
            running.start()
    no_more_are_lost(here, train)
    assert set(train.answers.values()) == {"a"}
    print(f"{train.sent} packets across {RESTARTS} restarts, {len(train.lost())} lost")


def test_no_packet_is_lost_across_reloads(sites: tuple[Sites, Daemon]) -> None:
    """Settings that move all of peerway's own routes, and broken files between them, cost no packet."""
    here, running = sites
    own = OWN["a"]
    with here.train(INTERVAL) as train:
        for number in range(RELOADS):
            metric = 4096 + number % 2
            running.configure({"interfaces": {"*": {"metric": metric}}})
            if number % 3:
                running.reload()
            else:
                assert running.request("POST", "/v1/reload")["http_status"] == 200
            running.settle(lambda metric=metric: f"metric {metric}" in routes(here), what="the routes' new metric")  # type: ignore[misc]
            assert here.answers(own)
    no_more_are_lost(here, train)
    print(f"{train.sent} packets across {RELOADS} reloads, {len(train.lost())} lost")


def routes(sites: Sites) -> str:
    """Our routes, as ip shows them."""
    return sites.here.namespace.ip("route", "show", "proto", "87")


def test_a_broken_file_keeps_the_old_settings_and_says_why(sites: tuple[Sites, Daemon]) -> None:
    """A reload of a file with errors changes nothing, neither by SIGHUP nor by request, and names the line."""
    here, running = sites
    before, held = routes(here), here.here.allowed_ips()
    running.config_path.write_text("interfaces:\n  '*':\n    metric: none\n")
    answer = running.request("POST", "/v1/reload")
    assert answer["http_status"] == 400
    assert "peerway.yaml:3" in answer["error"]
    assert "the old settings stay" in answer["error"]
    running.reload()
    running.settle(lambda: running.log().count("the old settings stay"), what="the reason in the log")
    running.request("POST", "/v1/sync")
    assert routes(here) == before
    assert here.here.allowed_ips() == held


def test_a_reload_does_the_difference_only(sites: tuple[Sites, Daemon]) -> None:
    """The same settings read again do nothing to routes, addresses and AllowedIPs: the kernel tells of no change."""
    here, running = sites
    running.request("POST", "/v1/sync")
    told = here.here.namespace.popen(
        "ip", "monitor", "route", "address", stdout=(path := running.home / "told").open("wb")
    )
    settle(lambda: here.here.namespace.succeeds("ip", "route", "add", "blackhole", "10.99.0.0/16"), what="a route")
    settle(lambda: "10.99.0.0" in path.read_text(), what="ip monitor to tell of a change")
    held = here.here.allowed_ips()
    for _ in range(3):
        running.request("POST", "/v1/reload")
    here.here.namespace.ip("route", "add", "blackhole", "10.98.0.0/16")
    settle(lambda: "10.98.0.0" in path.read_text(), what="ip monitor to tell of the next change")
    told.terminate()
    assert [line for line in path.read_text().splitlines() if "blackhole" not in line] == []
    assert here.here.allowed_ips() == held
