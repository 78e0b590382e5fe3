"""Selection: the peers of the route that the kernel would use, and why the others do not count."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.gateways import Gateways
from peerway.model.nexthops import Nexthops
from peerway.model.policy import Policy
from peerway.model.route import RTPROT_KERNEL, NextHop, NexthopObject, Path
from peerway.model.selection import NOTHING, Problem, Reason, Selector
from tests.harness.site import LINK_LOCAL, OTHER, WG, gateway, key, via

A, B, C = (key(number) for number in (1, 2, 3))
UNKNOWN = px.parse("fe80::bad")
SHARED = px.parse("10.0.0.9")
POLICY = Policy(tables=(100, 254), protocols=frozenset({2, 4, 12, 87}))
HOPS = [
    NextHop(WG, gateway(A)),
    NextHop(WG, gateway(B), 3),
    NextHop(WG, gateway(C), 2),
    NextHop(WG, UNKNOWN),
    NextHop(WG),
    NextHop(OTHER, gateway(A)),
]


class TwoNames(Gateways):
    """Gateways with an address that two peers have."""

    def __init__(self) -> None:
        super().__init__([A, B, C], [LINK_LOCAL], {SHARED: A})
        self._add(SHARED, B)


def selector(policy: Policy = POLICY, nexthops: Nexthops | None = None) -> Selector:
    return Selector(WG, policy, TwoNames(), nexthops or Nexthops())


HOP_LISTS = [(hop,) for hop in HOPS] + list(permutations(HOPS, 2)) + [(HOPS[0], HOPS[1], HOPS[0]), tuple(HOPS)]
# All paths that there are of these, each counting or not for one reason or another; the usual values stand twice.
PATHS = st.sampled_from(
    [
        Path(table, protocol, metric, hops, type=kind, tos=tos, source=source)
        for hops in HOP_LISTS
        for table, protocol, kind, tos, source in [
            *product((254, 100), (12, RTPROT_KERNEL), (1,), (0,), (None, px.parse("fd00::/16"))),
            *product((254, 100), (12,), (1,), (0,), (None,)),
            (9, 12, 1, 0, None),
            (254, 87, 1, 0, None),
            (100, 99, 1, 0, None),
            (100, 12, 6, 0, None),
            (254, 12, 1, 16, None),
        ]
        for metric in (0, 32, 64)
    ]
)
CHOICES = st.lists(PATHS, max_size=5).map(tuple)


def names(path: Path) -> set[object]:
    """The peers of a path, by hand: nothing of tables, types and protocols."""
    peers = {gateway(peer): peer for peer in (A, B, C)}
    return {peers[hop.gateway] for hop in path.nexthops if hop.ifindex == WG and hop.gateway in peers}


def counts(path: Path) -> bool:
    """Whether a path counts, by hand."""
    return (path.table in (100, 254), path.protocol in (2, 4, 12), path.type, path.tos) == (True, True, 1, 0)


@given(CHOICES)
def test_the_winner_is_the_route_that_the_kernel_would_use(choice: tuple[Path, ...]) -> None:
    """Of the paths that count and name a peer: first the order of tables, then without source, metric, and order."""
    selection = selector().select(choice)
    best: Path | None = None
    for path in choice:
        rank = (path.table != 100, path.source is not None, path.metric)
        if not counts(path) or not names(path):
            continue
        if best is None or rank < (best.table != 100, best.source is not None, best.metric):
            best = path
    assert selection.path == best
    assert {peer for peer, _ in selection.peers} == (set() if best is None else names(best))


@given(CHOICES)
def test_all_who_are_named_are_chosen_or_behind(choice: tuple[Path, ...]) -> None:
    """Nobody is chosen and behind at once, nobody twice, and together they are all whom counting paths name."""
    selection = selector().select(choice)
    chosen, behind = {peer for peer, _ in selection.peers}, list(selection.behind)
    assert len(behind) == len(set(behind))
    assert not chosen & set(behind)
    assert chosen | set(behind) == {peer for path in choice if counts(path) for peer in names(path)}


@given(CHOICES)
def test_the_answer_is_remembered_and_the_same(choice: tuple[Path, ...]) -> None:
    """One selector asked many times says what a fresh one says."""
    one = selector()
    for path in choice:
        one.select((path,))
        assert one.select((path,)) == selector().select((path,))
        assert one.named(path) == selector().named(path)
    assert one.select(choice) == selector().select(choice)


@given(PATHS)
def test_weights_of_one_peer_add_up(path: Path) -> None:
    """A peer that several next hops name has the sum of their weights."""
    for peer, weight in selector().named(path).peers:
        hops = [hop for hop in path.nexthops if hop.ifindex == WG and hop.gateway == gateway(peer)]
        assert weight == sum(hop.weight for hop in hops) > 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (replace(via(A), type=6), Reason.TYPE),
        (replace(via(A), protocol=87), Reason.OWN),
        (via(A, table=9), Reason.TABLE),
        (via(A, protocol=99), Reason.PROTOCOL),
        (replace(via(A), tos=16), Reason.TOS),
        (Path(254, 12, 0, (NextHop(OTHER, gateway(A)),)), Reason.ELSEWHERE),
        (Path(254, 12, 0, nexthop_id=5), Reason.ELSEWHERE),
        (via(A), None),
    ],
)
def test_what_does_not_count_says_why(path: Path, reason: Reason | None) -> None:
    """Each rule that leaves a path out has its reason, and such a path gives nothing."""
    assert selector().named(path).skipped is reason
    assert (selector().select((path,)) is NOTHING) is (reason is not None)


@pytest.mark.parametrize(
    ("hop", "problem"),
    [
        (NextHop(WG), Problem(None, Reason.NO_GATEWAY)),
        (NextHop(WG, UNKNOWN), Problem(UNKNOWN, Reason.UNKNOWN_GATEWAY)),
        (NextHop(WG, SHARED), Problem(SHARED, Reason.AMBIGUOUS_GATEWAY)),
    ],
)
def test_a_next_hop_that_names_nobody_is_a_problem(hop: NextHop, problem: Problem) -> None:
    """No gateway, an unknown one and an ambiguous one give nothing, and are reported."""
    selection = selector().select((Path(254, 12, 0, (hop,)),))
    assert not selection.peers
    assert selection.problems == (problem,)
    both = selector().select((Path(254, 12, 0, (hop, NextHop(WG, gateway(A)))),))
    assert (both.peers, both.problems) == (((A, 1),), (problem,))


def test_problems_of_routes_behind_are_told_too() -> None:
    """A route that names nobody is reported, whichever route wins."""
    bad = Path(254, 12, 64, (NextHop(WG, UNKNOWN),))
    selection = selector().select((via(A), bad))
    assert selection.path == via(A)
    assert selection.problems == (Problem(UNKNOWN, Reason.UNKNOWN_GATEWAY),)


def test_the_on_link_route_of_an_address_is_no_problem() -> None:
    """The kernel's own route without gateway is nobody's claim, and nothing is reported."""
    assert selector().select((Path(254, RTPROT_KERNEL, 0, (NextHop(WG),)),)) is NOTHING


def test_a_group_of_objects_names_its_peers_with_their_weights() -> None:
    """A route on a nexthop group names the peers of its members, with the group's weights."""
    nexthops = Nexthops()
    objects = [NexthopObject(1, HOPS[0]), NexthopObject(2, HOPS[1]), NexthopObject(9, None, ((1, 7), (2, 4)))]
    nexthops.load({item.id: item for item in objects})
    assert selector(nexthops=nexthops).named(Path(254, 12, 0, nexthop_id=9)).peers == ((A, 7), (B, 4))
