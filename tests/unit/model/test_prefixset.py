"""A set of prefixes: few or many, one by one or in columns, it is a set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.prefixset import PrefixSet
from tests.harness.columns import flat
from tests.harness.wg_strategies import PREFIXES

NET, NET6 = px.parse("10.0.0.0/8"), px.parse("2001:db8::/32")
SOME = st.lists(st.sampled_from([NET, NET6, px.parse("10.9.0.0/16"), px.DEFAULT_V6]) | PREFIXES, max_size=6)
WAYS = st.lists(st.tuples(st.sampled_from(["add", "update", "columns", "look", "drain", "clear"]), SOME), max_size=10)


@given(WAYS)
def test_a_prefix_set_is_a_set(deeds: list[tuple[str, list[Prefix]]]) -> None:
    """Whatever is put in in whichever way, and taken out, it has what a set has, in order."""
    made, model = PrefixSet(), set[Prefix]()
    for deed, some in deeds:
        match deed:
            case "add":
                for prefix in some:
                    made.add(prefix)
                model |= {*some}
            case "update":
                made.update(some[:2], some[2:])
                model |= {*some}
            case "columns":
                made.add_columns(cl.columns(some))
                model |= {*some}
            case "look":
                assert [prefix in made for prefix in some] == [prefix in model for prefix in some]
                assert list(made) == sorted(model)
            case "drain":
                assert flat(made.drain()) == sorted(model)
                model.clear()
            case _:
                made.clear()
                model.clear()
        assert bool(made) == bool(model)
        assert made == model
        assert len(made) == len(model)


def test_taken_out_is_one_column_of_each_family() -> None:
    """However it came in, what is to be decided goes out as one column for each family, and nothing is left."""
    made = PrefixSet([NET, NET6])
    made.add_columns(cl.columns([NET, px.DEFAULT_V4]))
    made.add_columns(cl.columns([px.DEFAULT_V6]))
    assert [cl.prefixes(column) for column in made.drain()] == [[px.DEFAULT_V4, NET], sorted([px.DEFAULT_V6, NET6])]
    assert not made
    assert made.drain() == []


def test_empty_columns_put_nothing_in() -> None:
    """A column without prefixes leaves an empty set empty."""
    made = PrefixSet()
    made.add_columns([cl.none(px.AF_INET), cl.none(px.AF_INET6)])
    assert not made


def test_a_set_equals_sets_only() -> None:
    """It is compared with sets of prefixes, by what is in them, and with nothing else."""
    assert PrefixSet([NET]) == {NET} == PrefixSet([NET, NET])
    assert PrefixSet([NET]) == frozenset({NET})
    assert PrefixSet([NET]) != {NET6}
    assert PrefixSet([NET]) != [NET]
    assert repr(PrefixSet([NET])) == f"PrefixSet({[NET]!r})"
