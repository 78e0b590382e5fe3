"""What fuzzing found stays found: all kept inputs again, some changed at random; and the tools of fuzzing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.protocols import netlink as nl
from tests.fuzz import corpus, mutate, script

MUTANTS = 30


@pytest.mark.parametrize("name", corpus.TARGETS)
def test_kept_inputs_break_nothing(name: str) -> None:
    """Each target's own inputs, those that once broke it, and a few mutants: what the target's docstring says is so."""
    one, inputs = corpus.target(name), corpus.inputs(name)
    assert one.__doc__
    for data in [*inputs, *mutate.mutants(inputs, 1, MUTANTS)]:
        one(data)


def test_a_broken_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises something else than it may is a find."""
    monkeypatch.setattr(nl, "walk", lambda data: data[70000])
    with pytest.raises(IndexError):
        corpus.target("sockdiag")(corpus.inputs("sockdiag")[0])


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5))
def test_raw_programs_give_their_datagrams(datagrams: list[bytes]) -> None:
    """What was recorded from a kernel comes out as it went in."""
    assert script.datagrams(script.raw(datagrams)) == datagrams


@given(st.binary(max_size=200))
def test_any_bytes_are_a_program_of_bounded_length(data: bytes) -> None:
    """However the bytes fall, the stream that they make has a bound."""
    assert sum(map(len, script.datagrams(data))) < script.MOST + (1 << 17)


def test_a_program_repeats_messages() -> None:
    """A few bytes make a long stream of whole messages, in which one word counts up."""
    route = bytes([0, 0, 0, 36]) + bytes(36)
    made = script.datagrams(route + bytes([1, 99, 9, 1]))
    assert len(made) == 101
    assert [int.from_bytes(message[36:40], "big") >> 8 for message in made] == list(range(101))
    assert all(len(list(nl.messages(message))) == 1 for message in made)


def test_mutants_are_the_same_each_time() -> None:
    """A seed repeats its inputs, another one gives others, and none is longer than it may be."""
    inputs = [b"one", b"another" * 5000]
    first = list(mutate.mutants(inputs, 1, 50))
    assert first == list(mutate.mutants(inputs, 1, 50)) != list(mutate.mutants(inputs, 2, 50))
    assert max(map(len, first)) <= mutate.LONGEST


def test_kept_files_are_named_after_what_they_hold(tmp_path: Path) -> None:
    """The same input is kept once."""
    assert corpus.keep(tmp_path / "x", b"data", "crash") == corpus.keep(tmp_path / "x", b"data", "crash")
    assert [path.read_bytes() for path in (tmp_path / "x").iterdir()] == [b"data"]
