"""Rows hold codes of any size, each as narrow as it can be, and nothing of what they held before."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import AF_INET, Prefix
from peerway.model.rows import FRESH, Rows

POOL = [Prefix(number << 8 | 32) for number in range(40)]
CODES = st.sampled_from([0, 1, 2, 255, 256, 65_535, 65_536, (1 << 31) - 1])
SOME = st.dictionaries(st.sampled_from(POOL), CODES, min_size=1)
FAR = Prefix(1 << 30 << 8 | 32)


def _columns(codes: dict[Prefix, int]) -> tuple[cl.Column, cl.Codes]:
    order = sorted(codes)
    return cl.make(AF_INET, order), np.array([codes[prefix] for prefix in order], np.int32)


@given(steps=st.lists(st.tuples(st.sampled_from(["set", "put", "replace", "fold"]), SOME), max_size=12))
def test_a_code_may_have_any_size(steps: list[tuple[str, dict[Prefix, int]]]) -> None:
    """Whatever codes were there before, each prefix has the one that it was given last, however large."""
    rows, model = Rows(AF_INET), dict[Prefix, int]()
    for verb, codes in steps:
        if verb == "set":
            for prefix, code in codes.items():
                assert rows.set(prefix, code) == model.get(prefix, 0)
        elif verb == "fold":
            rows.fold()
            continue
        else:
            (rows.put if verb == "put" else rows.replace)(*_columns(codes))
            model = model if verb == "put" else {}
        model |= codes
        assert rows.size == sum(map(bool, model.values()))
    assert [rows.get(prefix) for prefix in POOL] == [model.get(prefix, 0) for prefix in POOL]
    assert rows.find(cl.make(AF_INET, POOL)).tolist() == [model.get(prefix, 0) for prefix in POOL]


@pytest.mark.parametrize(("code", "size"), [(255, 1), (256, 2), (65_536, 4)])
def test_codes_take_as_many_bytes_as_the_largest(code: int, size: int) -> None:
    """A byte for each row is enough for 255 values, two for 65,535, whatever way they came."""
    column, codes = _columns(dict.fromkeys(POOL, 1))
    replaced, put, single = Rows(AF_INET), Rows(AF_INET), Rows(AF_INET)
    replaced.replace(column, np.maximum(codes, code))
    put.replace(column, codes)
    put.put(column[:1], codes[:1] * np.int32(code))
    single.replace(column, codes)
    single.set(POOL[0], code)
    for rows in (replaced, put, single):
        assert rows.rows()[1].itemsize == size
        assert rows.get(POOL[0]) == code


def test_recoding_makes_codes_narrow_again() -> None:
    """Codes that became small take less room."""
    rows = Rows(AF_INET)
    rows.replace(*_columns(dict.fromkeys(POOL, 300)))
    new = np.zeros(301, np.int32)
    new[300] = 1
    rows.recode(new)
    assert rows.rows()[1].itemsize == 1
    assert rows.get(POOL[0]) == 1


def test_a_column_that_was_replaced_is_gone() -> None:
    """Nothing keeps a former column in memory: not its replacement, nor a fold."""
    rows, codes = Rows(AF_INET), np.ones(len(POOL), np.int32)
    column = cl.make(AF_INET, POOL)
    former = weakref.ref(column)
    rows.replace(column, codes)
    del column
    rows.replace(cl.make(AF_INET, POOL), codes)
    assert former() is None
    for number in range(FRESH + 1):
        rows.set(Prefix(FAR + (number << 8)), 1)
    folded = weakref.ref(rows.rows()[0])
    rows.set(POOL[0], 0)
    rows.fold()
    assert folded() is None


def test_tables_with_the_same_prefixes_share_them() -> None:
    """Two columns with the same prefixes become one; others stay apart."""
    one, other, apart = Rows(AF_INET), Rows(AF_INET), Rows(AF_INET)
    for rows, pool in ((one, POOL), (other, POOL), (apart, [*POOL[1:], px.parse("10.0.0.0/8")])):
        rows.replace(*_columns(dict.fromkeys(pool, 1)))
    one.share(other)
    apart.share(other)
    assert one.rows()[0] is other.rows()[0]
    assert apart.rows()[0] is not other.rows()[0]
