"""Candidate sets: what suits two halves of a region at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import candidates as cd

SEVERAL = st.sets(st.integers(1, 300), min_size=1).map(lambda owners: sum(1 << owner for owner in owners))
SETS = SEVERAL | st.sampled_from([cd.NONE, cd.ALL])


@given(SETS, SETS)
def test_the_order_of_halves_is_nothing(left: int, right: int) -> None:
    """Both halves count the same; two equal ones are as one, and a half that takes everything leaves the other."""
    assert cd.merge(left, right) == cd.merge(right, left)
    assert cd.merge(left, left) == cd.merge(left, cd.ALL) == left


@given(SEVERAL, SEVERAL)
def test_what_suits_both_goes_before_what_suits_one(left: int, right: int) -> None:
    """The owners of both halves; where they have none in common, the owners of either."""
    owners = [{owner for owner in range(301) if cd.suits(half, owner)} for half in (left, right)]
    both = {owner for owner in range(301) if cd.suits(cd.merge(left, right), owner)}
    assert both == (owners[0] & owners[1] or owners[0] | owners[1])


@given(SEVERAL)
def test_a_hole_takes_nothing_from_above(candidates: int) -> None:
    """A region with addresses of no peer suits no owner, whatever its other half would take."""
    assert cd.merge(candidates, cd.NONE) == cd.NONE == cd.only(0)
    assert not any(cd.suits(cd.NONE, owner) for owner in range(1, 301))


@given(SEVERAL, st.integers(0, 300))
def test_an_entry_has_an_owner_that_suits(candidates: int, answer: int) -> None:
    """The one of the table as it is, if it suits, and always one that does."""
    picked = cd.pick(candidates, answer)
    assert cd.suits(candidates, picked)
    assert picked == answer or not cd.suits(candidates, answer)
