from __future__ import annotations

from itertools import permutations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.cli.route import parse
from peerway.control.api import RouteRequest
from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import FakeDaemon

PARTS = (("10.0.0.0/8",), ("via-peer", "berlin"), ("dev", "wg0"), ("metric", "5"), ("table", "main"))
WHOLE = RouteRequest("10.0.0.0/8", "berlin", "wg0", 5, "main")


@given(st.sampled_from(list(permutations(PARTS))))
def test_the_words_come_in_any_order(parts: tuple[tuple[str, ...], ...]) -> None:
    """As with ip-route(8), order does not matter."""
    assert parse(tuple(word for part in parts for word in part)) == WHOLE


def test_what_is_left_out_stays_open() -> None:
    """Only prefix and peer are needed; default is IPv4's, as for ip-route(8)."""
    assert parse(("10.0.0.0/8", "via-peer", "berlin")) == RouteRequest("10.0.0.0/8", "berlin")
    assert parse(("default", "via-peer", "berlin")).prefix == "0.0.0.0/0"
    assert parse(("2001:db8::1", "via-peer", "berlin")).prefix == "2001:db8::1/128"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "no peer and no prefix"),
        ("10.0.0.0/8", "no peer given"),
        ("via-peer berlin", "no prefix given"),
        ("10.0.0.0/8 via-peer", "nothing after 'via-peer'"),
        ("10.0.0.0/8 11.0.0.0/8 via-peer x", "a second prefix"),
        ("10.0.0.0/8 via-peer x via-peer y", "via-peer twice"),
        ("10.0.0.1/8 via-peer x", "has host bits set"),
        ("nonsense via-peer x", "not an IPv4 or IPv6 prefix"),
        ("10.0.0.0/8 via-peer x metric y", "not a number"),
        ("10.0.0.0/8 via-peer x metric -1", "not a number"),
        ("10.0.0.0/8 via-peer x metric 4294967296", "not a number from 0 to 4294967295"),
    ],
)
def test_wrong_words_are_told(alone: Peerway, words: str, told: str) -> None:
    """Each mistake has its sentence, and is wrong usage before any daemon is asked."""
    with pytest.raises(click.UsageError, match=told):
        parse(tuple(words.split()))
    assert alone("route", "add", *words.split()).exit_code == 2


def test_routes_are_added_and_deleted(daemon: FakeDaemon, peerway: Peerway) -> None:
    """The request reaches the daemon, and the route is told as ip(8) would write it."""
    for verb in ("add", "del"):
        done = peerway("route", verb, *(word for part in PARTS for word in part))
        assert (done.exit_code, done.stdout) == (0, "10.0.0.0/8 via inet6 fe80::1 dev wg0\n")
    assert daemon.asked == [("add", WHOLE), ("delete", WHOLE)]
