"""Columns read together are their union, a page at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.pages import pages
from peerway.model.prefix import Prefix
from tests.harness.columns import flat

FEW = [
    *(px.parse(f"10.{number}.0.0/16") for number in range(20)),
    *(px.parse(f"10.0.0.0/{length}") for length in range(8, 20)),
    *(px.parse(f"2001:db8:{number:x}::/48") for number in range(20)),
    px.parse("::/0"),
]
SETS = st.lists(st.sets(st.sampled_from(FEW)), max_size=4)


@given(SETS, st.integers(1, 12))
def test_pages_are_the_union_in_order(sets: list[set[Prefix]], size: int) -> None:
    """All pages together are the union, sorted, without doubles, whatever the size of a page."""
    found = flat(pages([column for some in sets for column in cl.columns(some)], size))
    assert found == sorted(set[Prefix]().union(*sets))


@given(SETS, st.integers(1, 12))
def test_a_page_is_small_and_never_empty(sets: list[set[Prefix]], size: int) -> None:
    """A page has at most `size` prefixes of each column, all of one family."""
    for page in pages([column for some in sets for column in cl.columns(some)], size):
        assert 0 < len(page) <= size * len(sets)
        assert page.dtype in (cl.IPV4, cl.IPV6)


def test_the_first_page_needs_no_look_at_the_rest() -> None:
    """Of two long columns nothing is copied but what is on the page."""
    one = np.arange(0, 1 << 20, 2, dtype=np.uint64)
    other = np.arange(1, 1 << 20, 2, dtype=np.uint64)
    first = next(pages([one, other], 4))
    assert first.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert first.base is None or len(first.base) <= 8
