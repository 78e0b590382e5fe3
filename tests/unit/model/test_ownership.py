"""Who wins a prefix: truths that hold for every mixture of claims."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerway.model.keys import PublicKey
from peerway.model.ownership import Claims, Origin, Verdict, decide
from peerway.model.policy import Pinned
from peerway.model.selection import Problem, Reason, Selection
from tests.harness.site import key, via

PEERS = [key(number) for number in range(1, 5)]
A, B, C, D = PEERS
Refused = dict[PublicKey, Reason]

# Few peers, and all there is of them, drawn from lists: claims that meet are the rule.
SELECTIONS = [Selection()] + [
    Selection(via(A), tuple(zip(order, weights, strict=True)), behind, (Problem(None, Reason.NO_GATEWAY),) * problems)
    for count in (1, 2, 3)
    for order in permutations(PEERS, count)
    for weights in product((1, 2), repeat=count)
    for behind in [(), tuple(peer for peer in PEERS if peer not in order)[:2]]
    for problems in (0, 1)
]
CLAIMS = st.builds(
    lambda held, selection: replace(held, selection=selection),
    st.sampled_from(
        [
            Claims(gateway, derived if gateway else None, pinned, learned)
            for gateway in (False, False, True)
            for derived in (None, A, B)
            for pinned in (None, *PEERS)
            for learned in (None, *PEERS)
        ]
    ),
    st.sampled_from(SELECTIONS),
)
POLICIES = st.sampled_from(list(Pinned))
REFUSALS = st.sampled_from(
    [
        dict.fromkeys(some, reason)
        for count in range(5)
        for some in combinations(PEERS, count)
        for reason in (Reason.LIMIT, Reason.NOT_ACCEPTED)
    ]
)


def judge(case: Claims, refused: Refused, policy: Pinned) -> Verdict:
    return decide(case, refused.get, policy)


def routed(case: Claims) -> list[PublicKey]:
    return [peer for peer, _ in case.selection.peers]


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES)
def test_the_owner_is_one_of_the_claimants(case: Claims, refused: Refused, policy: Pinned) -> None:
    """Nobody owns a prefix whom no claim names, and the origin says by which claim."""
    verdict = judge(case, refused, policy)
    match verdict.origin:
        case None:
            assert verdict.owner is None
        case Origin.PINNED:
            assert verdict.owner == case.pinned is not None
        case Origin.DERIVED:
            assert verdict.owner == case.derived is not None
        case Origin.LEARNED:
            assert verdict.owner is not None
            assert verdict.owner in [*routed(case), case.learned]


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES)
def test_no_route_takes_a_gateway(case: Claims, refused: Refused, policy: Pinned) -> None:
    """A gateway's address is never learned: it stays where it is pinned, else where it is derived, else nowhere."""
    verdict = judge(replace(case, is_gateway=True), refused, policy)
    assert verdict.origin is not Origin.LEARNED
    assert verdict.owner == (case.pinned if case.pinned is not None else case.derived)


@settings(max_examples=300)
@given(CLAIMS, REFUSALS)
def test_with_wins_a_pinned_owner_never_loses(case: Claims, refused: Refused) -> None:
    """By default whoever is pinned owns the prefix, whatever routes say, and nobody is displaced."""
    verdict = judge(case, refused, Pinned.WINS)
    assert verdict.displaced is None
    if case.pinned is not None:
        assert (verdict.owner, verdict.origin) == (case.pinned, Origin.PINNED)


@settings(max_examples=300)
@given(CLAIMS, REFUSALS)
def test_with_yields_a_pinned_owner_loses_to_a_route_only(case: Claims, refused: Refused) -> None:
    """With `yields` a route takes the prefix and the pinned peer waits; without one it owns the prefix."""
    verdict = judge(case, refused, Pinned.YIELDS)
    allowed = [peer for peer in routed(case) if peer not in refused]
    if case.is_gateway or case.pinned is None:
        assert verdict.displaced is None
    elif allowed:
        assert verdict.owner in allowed
        assert verdict.owner == case.learned or case.learned not in allowed
        assert verdict.displaced == (case.pinned if verdict.owner != case.pinned else None)
    elif not routed(case):
        assert (verdict.owner, verdict.displaced) == (case.pinned, None)


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES)
def test_a_prefix_that_was_lost_is_accounted_for(case: Claims, refused: Refused, policy: Pinned) -> None:
    """Each peer that a route names, or is displaced, owns the prefix, is shadowed or is refused; never two
    of these, but that one who waits may also be refused.
    """
    verdict = judge(case, refused, policy)
    shadowed, denied = dict(verdict.shadowed), dict(verdict.refused)
    assert verdict.owner not in shadowed
    assert shadowed.keys() & denied.keys() <= {verdict.displaced}
    everyone = {*routed(case), *case.selection.behind} | ({verdict.displaced} - {None})
    assert everyone <= {verdict.owner, *shadowed, *denied}
    may_not = {peer: refused[peer] for peer in routed(case) if peer in refused and peer != verdict.owner}
    assert denied == ({} if case.is_gateway else may_not)
    assert verdict.problems == case.selection.problems
    assert verdict.remarkable == bool(shadowed or denied or verdict.problems)


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES)
def test_who_is_refused_never_learns(case: Claims, refused: Refused, policy: Pinned) -> None:
    """A refused peer owns the prefix only if it is pinned or derived there."""
    verdict = judge(case, refused, policy)
    if verdict.origin is Origin.LEARNED:
        assert verdict.owner not in refused


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES)
def test_the_present_owner_stays_among_equals(case: Claims, refused: Refused, policy: Pinned) -> None:
    """A learned prefix stays at its peer while that is one of the allowed peers of the route, whatever the weights."""
    verdict = judge(case, refused, policy)
    if verdict.origin is not Origin.LEARNED:
        return
    allowed = {peer: weight for peer, weight in case.selection.peers if peer not in refused}
    if case.learned in allowed:
        assert verdict.owner == case.learned
    elif allowed and case.learned is None and case.pinned in allowed:
        assert verdict.owner == case.pinned
    elif allowed:
        heaviest = max(allowed.values())
        assert verdict.owner == min(peer for peer, weight in allowed.items() if weight == heaviest)
    else:
        assert verdict.owner == case.learned  # all are refused: what was there stays


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES)
def test_a_verdict_is_its_own_next(case: Claims, refused: Refused, policy: Pinned) -> None:
    """When the owner has the prefix, the same claims give the same owner: decisions do not swing."""
    verdict = judge(case, refused, policy)
    learned = verdict.owner if verdict.origin is Origin.LEARNED else None
    assert judge(replace(case, learned=learned), refused, policy).owner == verdict.owner


@settings(max_examples=300)
@given(CLAIMS, REFUSALS, POLICIES, st.randoms())
def test_the_order_of_next_hops_does_not_matter(case: Claims, refused: Refused, policy: Pinned, dice: object) -> None:
    """The owner is the same in whatever order a route tells its next hops."""
    peers = list(case.selection.peers)
    dice.shuffle(peers)  # type: ignore[attr-defined]
    shuffled = replace(case, selection=replace(case.selection, peers=tuple(peers)))
    one, other = judge(case, refused, policy), judge(shuffled, refused, policy)
    assert (one.owner, one.origin, one.displaced) == (other.owner, other.origin, other.displaced)
    assert dict(one.shadowed) == dict(other.shadowed)


BOTH = Selection(via(A, B), ((A, 1), (B, 1)), (C,))


@pytest.mark.parametrize(
    ("case", "policy", "shadowed"),
    [
        (Claims(selection=BOTH), Pinned.WINS, {B: Reason.MULTIPATH, C: Reason.METRIC}),
        (Claims(pinned=D, selection=BOTH), Pinned.WINS, {A: Reason.PINNED, B: Reason.PINNED, C: Reason.METRIC}),
        (Claims(pinned=D, selection=BOTH), Pinned.YIELDS, {D: Reason.YIELDED, B: Reason.MULTIPATH, C: Reason.METRIC}),
        (Claims(pinned=C, selection=BOTH), Pinned.YIELDS, {C: Reason.YIELDED, B: Reason.MULTIPATH}),
        (
            Claims(is_gateway=True, derived=D, selection=BOTH),
            Pinned.YIELDS,
            {A: Reason.GATEWAY, B: Reason.GATEWAY, C: Reason.METRIC},
        ),
        (Claims(pinned=B, selection=BOTH), Pinned.YIELDS, {A: Reason.PINNED, C: Reason.METRIC}),
    ],
)
def test_who_lost_is_told_why(case: Claims, policy: Pinned, shadowed: dict[PublicKey, Reason]) -> None:
    """Multipath, metric, a pinned owner, a yielding one and a gateway each have their own reason."""
    assert dict(decide(case, lambda _: None, policy).shadowed) == shadowed


def test_a_learned_prefix_goes_with_its_last_route() -> None:
    """Without a route nothing is learned, even if it was."""
    assert decide(Claims(learned=A), lambda _: None, Pinned.WINS) == Verdict()


def test_a_collision_of_derived_addresses_has_no_owner() -> None:
    """A gateway that is nobody's pin and nobody's derived address owns nothing, and a route cannot take it."""
    verdict = decide(Claims(is_gateway=True, selection=BOTH), lambda _: None, Pinned.YIELDS)
    assert verdict.owner is None
    assert dict(verdict.shadowed)[A] is Reason.GATEWAY
