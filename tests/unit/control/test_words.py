"""Nouns as JSON: everything that an event or a route can hold is text, numbers, lists and objects, and no secret."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.backends.names import Names
from peerway.control.words import event_json, event_name, gateway_text, losers_json, path_json, problem_text, timestamp
from peerway.model import events as ev
from peerway.model import prefix as px
from peerway.model.gateways import Gateways
from peerway.model.link import Address
from peerway.model.route import NextHop, Path
from peerway.model.selection import Problem, Reason
from tests.harness.site import LINK_LOCAL, WG, gateway, key, via

A, B = key(1), key(2)
NET = px.parse("10.0.0.0/8")
NAMES = Names()
KINDS = [
    kind
    for _, kind in inspect.getmembers(ev, inspect.isclass)
    if issubclass(kind, ev.Event) and kind not in (ev.Event, ev.PeerEvent)
]
# A value for each field that an event has, and what it is in JSON.
VALUES: dict[str, tuple[Any, Any]] = {
    "interface": ("wg0", "wg0"),
    "ifindex": (7, 7),
    "backend": ("kernel", "kernel"),
    "old_name": ("wg1", "wg1"),
    "public_key": (A, str(A)),
    "listen_port": (51820, 51820),
    "fwmark": (5, 5),
    "peer": (B, str(B)),
    "endpoint": ("192.0.2.1:5", "192.0.2.1:5"),
    "is_set": (True, True),
    "keepalive": (25, 25),
    "latest_handshake": (1_795_341_600_000_000_000, "2026-11-22T10:00:00Z"),
    "rx_bytes": (1, 1),
    "tx_bytes": (2, 2),
    "prefix": (NET, "10.0.0.0/8"),
    "address": (Address(WG, px.parse("fe80::1"), 64), "fe80::1/64"),
    "path": (via(A), path_json(via(A), NAMES)),
    "reason": ("why", "why"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_is_an_object_of_its_fields(kind: type[ev.Event]) -> None:
    """Time, name, and each field by its own name, in values that JSON has."""
    names = [field.name for field in fields(kind)]
    event = kind(**{name: VALUES[name][0] for name in names})
    told = event_json(event, 1_795_341_600.25, NAMES)
    expected = {name: VALUES[name][1] for name in names}
    assert told == {"time": "2026-11-22T10:00:00.250Z", "event": event_name(event)} | expected
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_an_event_is_its_words_in_lower_case(kind: type[ev.Event]) -> None:
    """Joined by hyphens, so that it can be typed and matched."""
    event = kind(**{field.name: VALUES[field.name][0] for field in fields(kind)})
    assert re.fullmatch(r"[a-z]{2,}(-[a-z]{2,})+", event_name(event))
    assert event_name(event).replace("-", "") == kind.__name__.lower()


def test_abbreviations_stay_together() -> None:
    """`AllowedIP` is two words, not three."""
    assert event_name(ev.AllowedIPAdded("wg0", A, NET)) == "allowed-ip-added"
    assert event_name(ev.AllowedIPRemoved("wg0", A, NET)) == "allowed-ip-removed"


def test_what_is_not_known_is_null() -> None:
    """A key that was taken away, and a handshake that never was, are null."""
    assert event_json(ev.PublicKeyChanged("wg0", None), 0.0, NAMES)["public_key"] is None
    assert event_json(ev.HandshakeSeen("wg0", A, 0), 0.0, NAMES)["latest_handshake"] is None


@given(st.integers(1, 4_000_000_000_000_000_000))
def test_times_are_whole_seconds_of_utc(nanoseconds: int) -> None:
    """RFC 3339 with a Z, rounded down; never is null."""
    text = timestamp(nanoseconds)
    assert text is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    assert text == timestamp(nanoseconds // 10**9 * 10**9 or 1)
    assert timestamp(0) is None


def test_a_route_has_names_where_there_are_some() -> None:
    """Tables and protocols by name or number, next hops with their gateway or null, the object only if there is one."""
    assert path_json(Path(254, 12, 32, (NextHop(7, px.parse("fe80::1"), 3), NextHop(8))), NAMES) == {
        "table": "main",
        "protocol": "bird",
        "metric": 32,
        "nexthops": [{"ifindex": 7, "gateway": "fe80::1", "weight": 3}, {"ifindex": 8, "gateway": None, "weight": 1}],
    }
    told = path_json(Path(1000, 77, 0, nexthop_id=5), NAMES)
    assert told == {"table": "1000", "protocol": "77", "metric": 0, "nexthops": [], "nexthop_id": 5}


def test_who_lost_is_told_with_the_reason() -> None:
    """One object for each, in their order."""
    assert losers_json(((A, Reason.METRIC), (B, Reason.LIMIT))) == [
        {"peer": str(A), "reason": Reason.METRIC.value},
        {"peer": str(B), "reason": Reason.LIMIT.value},
    ]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem(None, Reason.NO_GATEWAY), "the route has no gateway, so it names no peer"),
        (Problem(px.parse("fe80::9"), Reason.UNKNOWN_GATEWAY), "the gateway fe80::9 names no peer"),
        (
            Problem(px.parse("10.0.0.9"), Reason.AMBIGUOUS_GATEWAY),
            "the gateway 10.0.0.9 names two peers, so it names nobody",
        ),
    ],
)
def test_a_problem_names_its_gateway(problem: Problem, words: str) -> None:
    """An unknown or ambiguous gateway is in the sentence, for that is what one looks for."""
    assert problem_text(problem) == words


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_a_clause_without_a_full_stop(reason: Reason) -> None:
    """Reasons stand inside sentences, so they begin small and end open."""
    assert not reason.value.endswith(".")
    assert reason.value[0].islower() or reason.value.startswith("WireGuard")


def test_the_gateway_is_the_one_that_the_route_has() -> None:
    """Where a route names the owner, its gateway is told, else the owner's first one, else none."""
    pinned = px.parse("10.0.0.2")
    gateways = Gateways([A, B], [LINK_LOCAL], {pinned: A})
    hops = (NextHop(WG), NextHop(WG, gateway(B)), NextHop(WG, pinned))
    path = dataclasses.replace(via(A), nexthops=hops)
    assert gateway_text(gateways, A, path, hops) == "10.0.0.2"
    assert gateway_text(gateways, B, path, hops) == px.address_text(gateway(B))
    assert gateway_text(gateways, A, path, hops[:2]) == px.address_text(gateway(A))
    assert gateway_text(gateways, A, None, ()) == px.address_text(gateway(A))
    assert gateway_text(gateways, key(9), None, ()) is None
