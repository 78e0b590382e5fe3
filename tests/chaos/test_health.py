"""What WireGuard refuses: it stops nothing else, `status` tells it, and it heals by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from peerway.lab.namespace import Namespace
from tests.chaos.faults import Knob, Page, install
from tests.chaos.place import PEERS, Place, gateway
from tests.harness.daemon import Daemon

BAD, GOOD = "10.9.0.0/24", "10.10.0.0/24"


@pytest.fixture
def page() -> Page:
    made = Page()
    made[Knob.AUDIT] = 600_000
    return made


@pytest.fixture
def place(namespace: Namespace) -> Place:
    made = Place(namespace)
    made.add_peers(PEERS)
    return made


@pytest.fixture
def daemon(place: Place, page: Page) -> Iterator[Daemon]:
    from peerway.model.prefix import parse  # noqa: PLC0415

    with Daemon(place.namespace, before=lambda: install(page, 0, [parse(BAD)])) as running:
        yield running


def status(daemon: Daemon) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is told of the interface, and of peer a."""
    (interface,) = daemon.get("/v1/status")["interfaces"]
    return interface, next(peer for peer in interface["peers"] if peer["public_key"] == str(PEERS["a"]))


def test_a_refused_prefix_stops_no_other_is_told_and_heals(place: Place, page: Page, daemon: Daemon) -> None:
    """The other prefix of the same request arrives; status counts attempts at the refused one, until it is taken."""
    page[Knob.REFUSED] = 1
    place.ip(*(f"route add {net} via inet6 {gateway('a')} dev {{dev}}" for net in (BAD, GOOD)))
    daemon.settle(lambda: GOOD in place.wg.allowed_ips()[str(PEERS["a"])], what="the good prefix")
    daemon.settle(lambda: status(daemon)[1].get("failed", {}).get("attempts", 0) > 2, what="three attempts")
    interface, peer = status(daemon)
    assert interface["state"] == "degraded"
    assert BAD in interface["errors"][0]
    assert peer["failed"]["prefixes"] == 1
    assert "refused by the test" in peer["failed"]["error"]
    page[Knob.REFUSED] = 0
    daemon.settle(lambda: BAD in place.wg.allowed_ips()[str(PEERS["a"])], what="the prefix that was refused")
    daemon.settle(lambda: status(daemon)[0]["state"] == "in-sync", what="good health")
    assert "failed" not in status(daemon)[1]


def test_a_full_disk_stops_gifts_and_heals(place: Place, page: Page, daemon: Daemon) -> None:
    """What cannot be put on record is not given; when there is room again it is, without being asked for."""
    page[Knob.LEDGER] = 1000
    place.ip(f"route add {GOOD} via inet6 {gateway('a')} dev {{dev}}")
    daemon.settle(lambda: status(daemon)[0]["state"] == "degraded", what="bad health")
    assert GOOD not in place.wg.allowed_ips()[str(PEERS["a"])]
    assert "No space left" in " ".join(status(daemon)[0]["errors"])
    page[Knob.LEDGER] = 0
    daemon.settle(lambda: GOOD in place.wg.allowed_ips()[str(PEERS["a"])], what="the prefix")
    daemon.settle(lambda: status(daemon)[0]["state"] == "in-sync", what="good health")


def test_a_hung_program_stops_nobody(place: Place, page: Page, daemon: Daemon) -> None:
    """While the userspace program hangs the daemon answers, says so, and does what is due when it goes on."""
    if not place.wg.userspace:
        pytest.skip("the kernel does not hang: wireguard-go does")
    place.stop(stopped=True)
    place.ip(f"route add {GOOD} via inet6 {gateway('a')} dev {{dev}}")
    daemon.settle(lambda: status(daemon)[0]["state"] == "degraded", what="bad health")
    assert "gave no answer" in " ".join(status(daemon)[0]["errors"])
    place.stop(stopped=False)
    daemon.settle(lambda: GOOD in place.wg.allowed_ips()[str(PEERS["a"])], what="the prefix")
    place.ip(f"route del {GOOD}")
    daemon.settle(lambda: GOOD not in place.wg.allowed_ips()[str(PEERS["a"])], what="the prefix to go")
    daemon.settle(lambda: status(daemon)[0]["state"] == "in-sync", what="good health")
