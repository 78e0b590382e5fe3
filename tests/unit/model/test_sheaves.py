"""Sheaves: what was put in under a name, in parts, comes out under it, in order."""

from __future__ import annotations

from itertools import groupby
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model import sheaves
from peerway.model.prefix import Prefix
from peerway.model.sheaves import Sheaves, short_first, tied, together
from tests.harness.columns import flat, groups, one, pairs
from tests.harness.wg_strategies import PREFIXES

ITEMS = st.lists(st.tuples(PREFIXES, st.sampled_from("abc")), unique=True, max_size=20)


def added(items: list[tuple[Prefix, str]]) -> Sheaves[str]:
    """Each prefix put in as a part of its own."""
    return [(name, one(prefix)) for prefix, name in items]


@given(ITEMS)
def test_parts_are_tied_together(items: list[tuple[Prefix, str]]) -> None:
    """One sorted column for each name and family has all that was put in, in the order in which names came first."""
    parts = tied(added(items))
    assert sorted(pairs(parts)) == sorted(items)
    assert [(name, cl.family(column)) for name, column in parts] == list(
        dict.fromkeys((name, px.family(prefix)) for prefix, name in items)
    )
    for _, column in parts:
        assert cl.prefixes(column) == sorted(cl.prefixes(column))


@given(ITEMS)
def test_all_prefixes_are_there_once(items: list[tuple[Prefix, str]]) -> None:
    """A prefix that stands under two names is in the columns of all once."""
    assert flat(together(added(items))) == sorted({prefix for prefix, _ in items})


@given(ITEMS)
def test_columns_put_in_whole_are_the_same(items: list[tuple[Prefix, str]]) -> None:
    """What is put in as columns is what single parts make, and tying does not change the columns."""
    columns = [*groups(items)]
    before = pairs(columns)
    assert sorted(pairs(tied(columns))) == sorted(pairs(tied(added(items))))
    assert pairs(columns) == before


@given(ITEMS, st.booleans())
def test_shorter_prefixes_stand_first(items: list[tuple[Prefix, str]], few: bool) -> None:
    """
    IPv4 is cut into sorted parts of one length, which rise below each name; over all if names are few, else names stay
    together.
    """
    whole = tied(added(items))
    with patch.object(sheaves, "FEW", 3 if few else 0):
        ordered = short_first(whole)
    assert sorted(pairs(ordered)) == sorted(items)
    lengths: dict[str, list[int]] = {"": []}
    for name, column in ordered:
        assert cl.prefixes(column) == sorted(cl.prefixes(column))
        if cl.family(column) == px.AF_INET:
            (length,) = {px.length(prefix) for prefix in cl.prefixes(column)}
            lengths.setdefault(name, []).append(length)
            lengths[""].append(length)
    assert all(rising == sorted(set(rising)) for name, rising in lengths.items() if name)
    if few:
        assert lengths[""] == sorted(lengths[""])
    else:
        kinds = [(name, cl.family(column)) for name, column in ordered]
        assert [kind for kind, _ in groupby(kinds)] == [(name, cl.family(column)) for name, column in whole]
