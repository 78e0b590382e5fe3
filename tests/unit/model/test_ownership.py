"""Who wins a prefix: truths that hold for every mixture of claims."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model.keys import PublicKey
from peerway.model.ownership import Claims, Origin, Verdict, decide
from peerway.model.policy import Pinned
from peerway.model.selection import Problem, Reason, Selection
from tests.harness.site import key, via

PEERS = [key(number) for number in range(1, 6)]
A, B, C, D, E = PEERS
somebody = st.none() | st.sampled_from(PEERS)
policies = st.sampled_from(list(Pinned))
refusals = st.dictionaries(st.sampled_from(PEERS), st.sampled_from([Reason.LIMIT, Reason.NOT_ACCEPTED]))
Refused = dict[PublicKey, Reason]


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    """Peers with weights, and others behind them."""
    order = draw(st.permutations(PEERS))
    count, behind = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    if not count:
        return Selection()
    weights = tuple((peer, draw(st.integers(1, 3))) for peer in order[:count])
    return Selection(via(A), weights, tuple(order[count : count + behind]), (Problem(None, Reason.NO_GATEWAY),))


@st.composite
def claims(draw: st.DrawFn) -> Claims:
    """All that can be claimed of one prefix."""
    is_gateway = draw(st.booleans())
    derived = draw(somebody) if is_gateway else None
    return Claims(is_gateway, derived, draw(somebody), draw(somebody), draw(selections()))


def judge(case: Claims, refused: Refused, policy: Pinned) -> Verdict:
    return decide(case, refused.get, policy)


def routed(case: Claims) -> list[PublicKey]:
    return [peer for peer, _ in case.selection.peers]


@given(claims(), refusals, policies)
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


@given(claims(), refusals, policies)
def test_no_route_takes_a_gateway(case: Claims, refused: Refused, policy: Pinned) -> None:
    """A gateway's address is never learned: it stays where it is pinned, else where it is derived, else nowhere."""
    verdict = judge(replace(case, is_gateway=True), refused, policy)
    assert verdict.origin is not Origin.LEARNED
    assert verdict.owner == (case.pinned if case.pinned is not None else case.derived)


@given(claims(), refusals)
def test_with_wins_a_pinned_owner_never_loses(case: Claims, refused: Refused) -> None:
    """By default whoever is pinned owns the prefix, whatever routes say, and nobody is displaced."""
    verdict = judge(case, refused, Pinned.WINS)
    assert verdict.displaced is None
    if case.pinned is not None:
        assert (verdict.owner, verdict.origin) == (case.pinned, Origin.PINNED)


@given(claims(), refusals)
def test_with_yields_a_pinned_owner_loses_to_a_route_only(case: Claims, refused: Refused) -> None:
    """With `yields` a route takes the prefix and the pinned peer waits; without one it owns the prefix."""
    verdict = judge(case, refused, Pinned.YIELDS)
    allowed = [peer for peer in routed(case) if peer not in refused]
    if case.is_gateway or case.pinned is None:
        assert verdict.displaced is None
    elif allowed:
        assert verdict.owner in allowed
        assert verdict.displaced == (case.pinned if verdict.owner != case.pinned else None)
    elif not routed(case):
        assert (verdict.owner, verdict.displaced) == (case.pinned, None)


@given(claims(), refusals, policies)
def test_a_prefix_that_was_lost_is_accounted_for(case: Claims, refused: Refused, policy: Pinned) -> None:
    """Each peer that a route names, or is displaced, owns the prefix, is shadowed or is refused; never two of these."""
    verdict = judge(case, refused, policy)
    shadowed, denied = dict(verdict.shadowed), dict(verdict.refused)
    assert verdict.owner not in shadowed
    everyone = {*routed(case), *case.selection.behind} | ({verdict.displaced} - {None})
    assert everyone <= {verdict.owner, *shadowed, *denied}
    may_not = {peer: refused[peer] for peer in routed(case) if peer in refused and peer != verdict.owner}
    assert denied == ({} if case.is_gateway else may_not)
    assert verdict.problems == case.selection.problems
    assert verdict.remarkable == bool(shadowed or denied or verdict.problems)


@given(claims(), refusals, policies)
def test_who_is_refused_never_learns(case: Claims, refused: Refused, policy: Pinned) -> None:
    """A refused peer owns the prefix only if it is pinned or derived there."""
    verdict = judge(case, refused, policy)
    if verdict.origin is Origin.LEARNED:
        assert verdict.owner not in refused


@given(claims(), refusals, policies)
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


@given(claims(), refusals, policies)
def test_a_verdict_is_its_own_next(case: Claims, refused: Refused, policy: Pinned) -> None:
    """When the owner has the prefix, the same claims give the same owner: decisions do not swing."""
    verdict = judge(case, refused, policy)
    learned = verdict.owner if verdict.origin is Origin.LEARNED else None
    assert judge(replace(case, learned=learned), refused, policy).owner == verdict.owner


@given(claims(), refusals, policies, st.randoms())
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
        (
            Claims(is_gateway=True, derived=E, selection=BOTH),
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
