"""Policy: accept lists as routing daemons read them, beside a naive twin, and what settings mean."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.policy import ALL_PROTOCOLS, Accept, PeerPolicy, Pinned, Policy, RouteSync
from peerway.model.prefix import Prefix
from tests.harness.site import key
from tests.harness.wg_strategies import PREFIXES


@st.composite
def lists(draw: st.DrawFn) -> tuple[Prefix, int | None, int | None]:
    """A prefix with `ge`, `le`, both or neither, in order."""
    prefix = draw(PREFIXES)
    bounds = sorted(draw(st.tuples(*[st.integers(px.length(prefix), px.bits(prefix))] * 2)))
    return prefix, draw(st.sampled_from([bounds[0], None])), draw(st.sampled_from([bounds[1], None]))


def written(prefix: Prefix, ge: int | None, le: int | None) -> str:
    words = [px.text(prefix)]
    words += [] if ge is None else ["ge", str(ge)]
    words += [] if le is None else ["le", str(le)]
    return " ".join(words)


def naive(prefix: Prefix, ge: int | None, le: int | None, asked: Prefix) -> bool:
    """Whether a prefix list has a prefix, by ipaddress."""
    own, other = ipaddress.ip_network(px.text(prefix)), ipaddress.ip_network(px.text(asked))
    if own.version != other.version or int(other.network_address) & int(own.netmask) != int(own.network_address):
        return False
    if ge is None and le is None:
        return other.prefixlen == own.prefixlen
    least = own.prefixlen if ge is None else ge
    most = own.max_prefixlen if le is None else le
    return other.prefixlen >= own.prefixlen and least <= other.prefixlen <= most


@given(lists(), st.data())
def test_an_entry_accepts_what_a_prefix_list_would(
    entry: tuple[Prefix, int | None, int | None], data: st.DataObject
) -> None:
    """`ge` and `le` bound the length, without either it is the prefix itself; inside is as ipaddress says."""
    prefix = entry[0]
    near = st.integers(0, px.bits(prefix)).map(lambda length: px.make(px.family(prefix), px.packed(prefix), length))
    asked = data.draw(PREFIXES | near)
    assert Accept.parse(written(*entry)).matches(asked) == naive(*entry, asked)


@pytest.mark.parametrize("order", ["ge 16 le 24", "le 24 ge 16"])
def test_the_bounds_come_in_any_order(order: str) -> None:
    """`ge` before `le` or behind it."""
    assert Accept.parse(f"10.0.0.0/8 {order}") == Accept(px.parse("10.0.0.0/8"), 16, 24)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "such as 10.0.0.0/8 le 24"),
        ("10.0.0.0/8 le", "such as 10.0.0.0/8 le 24"),
        ("10.0.0.0/8 24", "such as 10.0.0.0/8 le 24"),
        ("10.0.0.0/8 upto 24", "N from 8 to 32"),
        ("10.0.0.0/8 le 7", "N from 8 to 32"),
        ("10.0.0.0/8 le 33", "N from 8 to 32"),
        ("10.0.0.0/8 le -9", "N from 8 to 32"),
        ("10.0.0.0/8 le x", "N from 8 to 32"),
        ("10.0.0.0/8 le 9 le 10", "N from 8 to 32"),
        ("2001:db8::/32 ge 129", "N from 32 to 128"),
        ("10.0.0.0/8 ge 24 le 16", "ge 24 is greater than le 16"),
        ("10.1.0.0/8", "write 10.0.0.0/8"),
        ("ten le 8", "prefix such as 10.0.0.0/8"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_cure(text: str, cure: str) -> None:
    """The error repeats what was written, and says what to write."""
    with pytest.raises(ValueError, match=r"'.*'") as caught:
        Accept.parse(text)
    assert cure in str(caught.value)
    assert text.split()[:1] == [] or text.split(maxsplit=1)[0] in str(caught.value)


@given(st.text(max_size=30) | st.text("0123456789./ gel", max_size=24))
def test_any_text_is_an_entry_or_a_sentence(text: str) -> None:
    """No text raises anything but ValueError, and what is read accepts its own prefix's family only."""
    try:
        entry = Accept.parse(text)
    except ValueError:
        return
    assert px.length(entry.prefix) <= entry.ge <= entry.le <= px.bits(entry.prefix)


@given(st.lists(lists(), max_size=3), PREFIXES)
def test_a_list_accepts_what_any_entry_does(
    entries: list[tuple[Prefix, int | None, int | None]], asked: Prefix
) -> None:
    """A list is the union of its entries; an empty one accepts nothing, and none at all accepts everything."""
    accept = tuple(Accept.parse(written(*entry)) for entry in entries)
    assert PeerPolicy("", accept).accepts(asked) == any(naive(*entry, asked) for entry in entries)
    assert PeerPolicy().accepts(asked)


@pytest.mark.parametrize(
    ("route_sync", "to_peers", "to_routes"),
    [
        (RouteSync.BOTH, True, True),
        (RouteSync.ROUTES_TO_PEERS, True, False),
        (RouteSync.PEERS_TO_ROUTES, False, True),
        (RouteSync.OFF, False, False),
    ],
)
def test_the_directions_of_route_sync(route_sync: RouteSync, to_peers: bool, to_routes: bool) -> None:
    """Each value of `route_sync` turns on the directions that it names."""
    policy = Policy(route_sync=route_sync)
    assert (policy.routes_to_peers, policy.peers_to_routes) == (to_peers, to_routes)


def test_the_defaults_are_those_of_the_design() -> None:
    """Without any setting: both directions, table main, metric 4096, protocol 87, pinned wins, no limit."""
    policy = Policy()
    assert policy.route_sync is RouteSync.BOTH
    assert policy.prefixes == (px.parse("fe80::/64"),)
    assert (policy.tables, policy.table, policy.metric, policy.route_protocol) == ((254,), 254, 4096, 87)
    assert policy.protocols == ALL_PROTOCOLS
    assert policy.pinned is Pinned.WINS
    assert (policy.default_route, policy.max_prefixes) == (False, 0)


def test_a_peer_without_settings_has_the_defaults() -> None:
    """A peer that the configuration does not name has no name, and everything is accepted."""
    named = PeerPolicy("berlin", ())
    policy = Policy(peers={key(1): named})
    assert policy.peer(key(1)) is named
    assert policy.peer(key(2)) == PeerPolicy()
