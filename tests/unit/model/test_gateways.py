"""Gateways: an address names one peer or nobody, and each peer has the gateways that name it alone."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.gateways import Gateways
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from tests.harness.site import key

PEERS = [key(number) for number in range(1, 7)]
PREFIXES = [px.parse(text) for text in ("fe80::/64", "10.237.0.0/16", "10.0.0.0/31", "2001:db8::/64", "fd00::/126")]
HOSTS = [px.parse(text) for text in ("10.0.0.0", "10.0.0.1", "192.0.2.1", "fd00::1", "fd00::2", "2001:db8::9")]

Pinned = dict[Prefix, PublicKey]
Drawn = tuple[list[PublicKey], list[Prefix], Pinned]
peers_drawn = st.lists(st.sampled_from(PEERS), unique=True)
prefixes_drawn = st.lists(st.sampled_from(PREFIXES), unique=True)
pinned_drawn = st.dictionaries(st.sampled_from(HOSTS), st.sampled_from(PEERS))


def naive(peers: list[PublicKey], prefixes: list[Prefix], pinned: Pinned) -> dict[Prefix, set[PublicKey]]:
    """Whom each address names, by hand."""
    names: dict[Prefix, set[PublicKey]] = defaultdict(set)
    for peer in peers:
        for prefix in prefixes:
            names[derived_address(prefix, peer)].add(peer)
    for address, peer in pinned.items():
        names[address].add(peer)
    return names


@given(peers_drawn, prefixes_drawn, pinned_drawn)
def test_an_address_names_one_peer_or_nobody(peers: list[PublicKey], prefixes: list[Prefix], pinned: Pinned) -> None:
    """Derived and pinned addresses name their peers; two peers with one address, and it names neither."""
    gateways = Gateways(peers, prefixes, pinned)
    names = naive(peers, prefixes, pinned)
    for address in {*HOSTS, *names}:
        assert gateways.named(address) == names.get(address, set())
        expected = next(iter(names[address])) if len(names.get(address, ())) == 1 else None
        assert gateways.peer(address) == expected
        derived = any(address == derived_address(prefix, peer) for prefix in prefixes for peer in peers)
        assert gateways.derived_owner(address) == (expected if derived else None)
        assert (address in gateways.derived) == derived


@given(peers_drawn, prefixes_drawn, pinned_drawn)
def test_a_peer_has_the_gateways_that_name_it_alone(
    peers: list[PublicKey], prefixes: list[Prefix], pinned: Pinned
) -> None:
    """Each gateway of a peer names it and no other, each address that does is among them, derived ones first."""
    gateways = Gateways(peers, prefixes, pinned)
    names = naive(peers, prefixes, pinned)
    for peer in PEERS:
        own = gateways.of(peer)
        assert set(own) == {address for address, who in names.items() if who == {peer}}
        assert len(own) == len(set(own))
        firsts = [address in gateways.derived for address in own]
        assert firsts == sorted(firsts, reverse=True)


@given(peers_drawn, prefixes_drawn, pinned_drawn, st.sampled_from(PEERS))
def test_the_best_gateway_is_of_the_routes_family(
    peers: list[PublicKey], prefixes: list[Prefix], pinned: Pinned, peer: PublicKey
) -> None:
    """IPv4 takes an IPv4 gateway, else an IPv6 one; IPv6 never an IPv4 one; a link-local one is preferred."""
    gateways = Gateways(peers, prefixes, pinned)
    own = gateways.of(peer)
    ipv4 = [address for address in own if px.family(address) == px.AF_INET]
    ipv6 = [address for address in own if px.family(address) == px.AF_INET6]
    for family, candidates in ((px.AF_INET, ipv4 or ipv6), (px.AF_INET6, ipv6)):
        best = gateways.best(peer, family)
        assert (best in candidates) if candidates else best is None
        if best is not None and any(px.is_link_local(address) for address in candidates):
            assert px.is_link_local(best)


@given(st.tuples(peers_drawn, prefixes_drawn, pinned_drawn), st.tuples(peers_drawn, prefixes_drawn, pinned_drawn))
def test_changed_addresses_are_those_that_name_others(old: Drawn, new: Drawn) -> None:
    """What changed between two is each address that names other peers, whichever way they are compared."""
    one, other = Gateways(*old), Gateways(*new)
    first, second = naive(*old), naive(*new)
    expected = {address for address in {*first, *second} if first.get(address) != second.get(address)}
    assert one.changed(other) == other.changed(one) == expected


@given(st.permutations(PEERS))
def test_the_order_of_peers_does_not_matter(peers: list[PublicKey]) -> None:
    """A device lists its peers in any order; the gateways are the same."""
    one, other = Gateways(peers, PREFIXES), Gateways(PEERS, PREFIXES)
    assert not one.changed(other)
    assert all(one.of(peer) == other.of(peer) for peer in PEERS)


def test_colliding_derived_addresses_name_nobody() -> None:
    """Under a prefix with two addresses three peers cannot all have one: those that collide have no gateway there."""
    narrow = px.parse("10.0.0.0/31")
    gateways = Gateways(PEERS[:3], [narrow])
    shared = [address for address, peers in gateways.derived.items() if len(peers) > 1]
    assert shared
    for address in shared:
        assert gateways.peer(address) is None
        assert gateways.derived_owner(address) is None
        assert len(gateways.named(address)) > 1
    assert all(address not in gateways.of(peer) for peer in PEERS for address in shared)
