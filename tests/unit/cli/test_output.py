from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.cli.output import FIRST_ROWS, age, clean, size, table

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


@given(st.text())
def test_nothing_that_steers_a_terminal_is_printed(text: str) -> None:
    """Whatever a name or an endpoint holds, it prints as characters."""
    assert clean(text).isprintable()
    assert clean(text)


def test_nothing_is_shown_as_a_dash() -> None:
    """None and the empty text are told as -, and 0 as 0."""
    assert [clean(value) for value in (None, "", 0, "x")] == ["-", "-", "0", "x"]


@given(st.lists(st.tuples(*[st.text("abc", min_size=1, max_size=9)] * 3), max_size=20))
def test_columns_are_aligned(rows: list[tuple[str, str, str]]) -> None:
    """Each cell begins where its header begins."""
    lines = [click.unstyle(line) for line in table(("ONE", "TWO", "LAST"), rows)]
    second, last = lines[0].index("TWO"), lines[0].index("LAST")
    for line, row in zip(lines[1:], rows, strict=True):
        assert (line[:second].strip(), line[second:last].strip(), line[last:]) == row


def test_a_long_table_streams() -> None:
    """The first line is there after a bounded number of rows."""
    taken = 0

    def rows() -> Iterator[tuple[str]]:
        nonlocal taken
        while True:
            taken += 1
            yield ("x",)

    assert next(table(("X",), rows()))
    assert taken == FIRST_ROWS


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3660, "1h 1m"), (90000, "1d 1h"), (-5, "0s")]
)
def test_an_age_has_its_two_largest_units(seconds: int, text: str) -> None:
    """Ages are short, and a clock that went backwards makes none negative."""
    assert age((NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"), NOW) == text


def test_what_never_was_has_no_age() -> None:
    """No handshake yet is told as never."""
    assert age(None) == "never"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (3 << 20, "3.00 MiB"), (1 << 50, "1024.00 TiB")],
)
def test_sizes_are_told_as_wg_does(count: int, text: str) -> None:
    """Bytes are counted in powers of 1024."""
    assert size(count) == text
