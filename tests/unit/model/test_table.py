"""A table answers as a dictionary would, one prefix at a time or in columns."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model import rows as rows_module
from peerway.model.prefix import Prefix
from peerway.model.table import Table, grouped

POOL = [px.parse(f"10.{number}.0.0/16") for number in range(20)]
POOL += [px.parse(f"2001:db8:{number:x}::/{48 + number}") for number in range(20)] + [px.DEFAULT_V4, px.DEFAULT_V6]
PREFIXES = st.sampled_from(POOL)
VALUES = st.sampled_from("abc")
SOME = st.lists(PREFIXES, max_size=30)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), PREFIXES, VALUES),
        st.tuples(st.just("drop"), PREFIXES, st.none()),
        st.tuples(st.just("put"), SOME, st.one_of(st.none(), VALUES)),
        st.tuples(st.just("fold"), st.none(), st.none()),
    ),
    max_size=30,
)


@pytest.fixture(autouse=True, params=[0, 3, 1000])
def fresh(request: pytest.FixtureRequest) -> Iterator[None]:
    """Folded at once, soon, and never."""
    with patch.object(rows_module, "FRESH", request.param):
        yield


def _follow(steps: list[tuple[str, object, object]]) -> tuple[Table[str], dict[Prefix, str]]:
    table, model = Table[str](), dict[Prefix, str]()
    for verb, what, value in steps:
        if verb == "set":
            table[what] = model[what] = value  # type: ignore[index,assignment]
        elif verb == "drop":
            assert table.drop(what) == model.pop(what, None)  # type: ignore[arg-type, call-overload]
        elif verb == "put":
            for column in cl.columns(what):  # type: ignore[arg-type]
                table.put(column, value)  # type: ignore[arg-type]
            for prefix in what:  # type: ignore[attr-defined]
                if value is None:
                    model.pop(prefix, None)
                else:
                    model[prefix] = value  # type: ignore[assignment]
        else:
            assert len(table.columns()) <= 2
        assert len(table) == len(model)
    return table, model


@given(steps=STEPS, more=STEPS, wanted=SOME)
def test_several_tables_are_asked_of_the_same_prefixes(
    steps: list[tuple[str, object, object]], more: list[tuple[str, object, object]], wanted: list[Prefix]
) -> None:
    """Each says what it would say of one prefix, whether or not they share a column."""
    one, other = _follow(steps)[0], _follow(more)[0]
    other.share(one)
    for column in cl.columns(wanted):
        for table in (one, other, one):
            assert table.find(column).tolist() == [table.code_at(prefix) for prefix in cl.prefixes(column)]


@given(steps=STEPS)
def test_it_is_a_dictionary(steps: list[tuple[str, object, object]]) -> None:
    """After any history a table holds what a dictionary would, and iterates in the order of prefixes."""
    table, model = _follow(steps)
    assert [table.look(prefix) for prefix in POOL] == [model.get(prefix) for prefix in POOL]
    assert [prefix in table for prefix in POOL] == [prefix in model for prefix in POOL]
    assert dict(table) == model
    assert list(table) == sorted(model)
    assert len(table) == len(model)
    assert table.counts() == {value: list(model.values()).count(value) for value in set(model.values())}


@given(steps=STEPS, asked=SOME)
def test_columns_answer_as_single_prefixes_do(steps: list[tuple[str, object, object]], asked: list[Prefix]) -> None:
    """`find`, `groups` and `where` give what looking at each prefix gives."""
    table, model = _follow(steps)
    for column in cl.columns(asked):
        found = [table.value(code) if code else None for code in table.find(column).tolist()]
        assert found == [model.get(prefix) for prefix in cl.prefixes(column)]
        groups = [(value, prefix) for value, part in table.groups(column) for prefix in cl.prefixes(part)]
        assert {prefix: value for value, prefix in groups} == {p: model.get(p) for p in cl.prefixes(column)}
        assert len(groups) == len(column)
    for value in "abc":
        having = [prefix for column in table.where([table.known(value)]) for prefix in cl.prefixes(column)]
        assert having == sorted(prefix for prefix, held in model.items() if held == value)


@given(one=STEPS, other=STEPS)
def test_differences_are_exact(one: list[tuple[str, object, object]], other: list[tuple[str, object, object]]) -> None:
    """`differing` names each prefix whose value is another, and no other."""
    (mine, old), (theirs, new) = _follow(one), _follow(other)
    differ = [prefix for column in mine.differing(theirs) for prefix in cl.prefixes(column)]
    assert differ == sorted(prefix for prefix in old.keys() | new.keys() if old.get(prefix) != new.get(prefix))


@given(steps=STEPS)
def test_tidying_changes_nothing(steps: list[tuple[str, object, object]]) -> None:
    """Values that no row has are forgotten, and no row changes."""
    table, model = _follow(steps)
    with patch("peerway.model.table.SPARE", -1):
        table.tidy()
    assert dict(table) == model
    assert table.codes - 1 == len(set(model.values()))


@given(asked=SOME)
def test_columns_are_prefixes(asked: list[Prefix]) -> None:
    """Columns hold the prefixes in order, and tell lengths and hosts as single prefixes do."""
    columns = cl.columns(asked)
    together = [prefix for column in columns for prefix in cl.prefixes(column)]
    assert together == sorted(set(asked))
    for column in columns:
        assert [px.length(p) for p in cl.prefixes(column)] == cl.lengths(column).tolist()
        assert [px.is_host(p) for p in cl.prefixes(column)] == cl.hosts(column).tolist()
        assert {px.family(p) for p in cl.prefixes(column)} == {cl.family(column)}


@given(one=SOME, other=SOME)
def test_unions_and_differences(one: list[Prefix], other: list[Prefix]) -> None:
    """`merged` is the union and `without` the difference of two columns."""
    for mine in cl.columns(one):
        for theirs in cl.columns(other):
            if mine.dtype == theirs.dtype:
                here, there = set(cl.prefixes(mine)), set(cl.prefixes(theirs))
                assert cl.prefixes(cl.merged(mine, theirs)) == sorted(here | there)
                assert cl.prefixes(cl.without(mine, theirs)) == sorted(here - there)


def test_grouping_keeps_the_order() -> None:
    """Each group has its prefixes in the order of the column, also with codes that do not fit 16 bits."""
    column = cl.columns(POOL[:20])[0]
    for high in (3, 1 << 20):
        codes = np.array([0, high, 1, high] * 5, np.int32)
        groups = {code: cl.prefixes(part) for code, part in grouped(column, codes)}
        assert groups == {0: POOL[0:20:4], high: POOL[1:20:2], 1: POOL[2:20:4]}


@given(histories=st.lists(STEPS, min_size=2, max_size=4), asked=SOME)
def test_what_one_table_found_is_no_answer_of_another(
    histories: list[list[tuple[str, object, object]]], asked: list[Prefix]
) -> None:
    """Tables that are asked and changed in turn about the same prefix each have their own answer."""
    followed = [_follow(steps) for steps in histories]
    for prefix in asked:
        assert [table.look(prefix) for table, _ in followed] == [model.get(prefix) for _, model in followed]
        for table, model in followed:
            if model.get(prefix) == "a":
                table[prefix] = model[prefix] = "b"
            else:
                assert table.drop(prefix) == model.pop(prefix, None)
        assert [table.look(prefix) for table, _ in followed] == [model.get(prefix) for _, model in followed]
