"""Removals by throwaway peer: what goes, in which order, and for how long a reading counts."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from peerway.backends import removals
from peerway.backends.removals import Removals
from peerway.model.device import AllowedIPs
from peerway.model.keys import PublicKey
from peerway.model.prefix import V6, Prefix
from tests.harness.columns import flat, groups
from tests.harness.wg_strategies import ALLOWED_IPS


@given(ALLOWED_IPS, ALLOWED_IPS, st.integers(1, 5))
def test_what_is_at_the_named_peer_goes_in_the_order_of_addresses(
    named: dict[Prefix, PublicKey], held: dict[Prefix, PublicKey], stretch: int
) -> None:
    """Nothing else does, whoever holds it; afterwards nothing is left."""
    held |= {prefix: key for number, (prefix, key) in enumerate(named.items()) if number % 2}
    left = Removals(groups(named.items()))
    assert bool(left) == bool(named)
    with patch.object(removals, "STRETCH", stretch):
        found = flat(left.held(AllowedIPs(held), lambda: True))
    assert found == sorted(prefix for prefix, key in named.items() if held.get(prefix) == key)
    assert not left


@given(ALLOWED_IPS, st.integers(1, 5), st.integers(1, 5))
def test_a_reading_that_is_old_ends_a_part(named: dict[Prefix, PublicKey], stretch: int, patience: int) -> None:
    """What was not looked at is left for the next reading; nothing comes twice, nothing is forgotten."""
    left = Removals(groups(named.items()))
    found: list[Prefix] = []
    with patch.object(removals, "STRETCH", stretch):
        while left:
            turns = iter(range(patience))
            part = flat(left.held(AllowedIPs(named), lambda turns=turns: next(turns, None) is not None))  # type: ignore[misc]
            assert 0 < len(part) <= stretch * patience
            found += part
    assert found == sorted(named)
    assert sorted(found, key=lambda prefix: bool(prefix & V6)) == found
