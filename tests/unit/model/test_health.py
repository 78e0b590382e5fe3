"""Failures by prefix: each has its own pause, and what fails together is one value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.health import FIRST, LAST, Failure, Health, pause
from peerway.model.prefix import Prefix
from tests.harness.small import A, B

NETS = [px.parse(f"10.{number}.0.0/16") for number in range(6)] + [px.parse("2001:db8::/32")]


def column(*prefixes: Prefix) -> Column:
    (made,) = cl.columns(prefixes)
    return made


def attempt(health: Health, tried: set[Prefix], refused: set[Prefix], now: float, reason: str = "busy") -> None:
    """An attempt at some prefixes, of which some are refused."""
    for part in cl.columns(refused):
        health.refuse(part, reason, A)
    health.tried(cl.columns(tried), now)


def test_pauses_double_up_to_a_minute() -> None:
    """The pause after a failure is twice the one before, from a second to a minute, however many there were."""
    assert [pause(number) for number in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(10**9) == LAST


def test_each_prefix_has_its_own_pause() -> None:
    """One that failed often does not let a new one wait, and the new one does not hurry it."""
    health, (old, new) = Health(), NETS[:2]
    for now in range(5):
        attempt(health, {old}, {old}, now)
    attempt(health, {new}, {new}, 5)
    assert (health.failures[old].due, health.failures[new].due) == (4 + 16, 5 + FIRST)
    assert health.deadline == 6
    assert [cl.prefixes(part) for part in health.due(6)] == [[new]]


def test_what_fails_together_is_one_value() -> None:
    """Many prefixes refused for one reason, in any number of parts, are one failure in a column."""
    health = Health()
    many = column(*(Prefix((10 << 24 | number << 8) << 8 | 24) for number in range(10_000)))
    for part in (many[:5000], many[5000:]):
        health.refuse(part, "full", A)
    health.tried([many], 0.0)
    assert health.failures.counts() == {Failure("full", A, 1, FIRST): 10_000}


def test_a_prefix_that_is_refused_twice_in_an_attempt_failed_once() -> None:
    """The last reason counts, and one attempt."""
    health = Health()
    health.refuse(column(NETS[0]), "route: busy", None)
    health.refuse(column(NETS[0]), "full", B)
    health.tried([column(NETS[0])], 0.0)
    assert dict(health.failures) == {NETS[0]: Failure("full", B, 1, FIRST)}


def test_a_refusal_counts_when_the_attempt_is_over() -> None:
    """Until then the failures are those of the attempts before."""
    health = Health()
    health.refuse(column(NETS[0]), "busy", A)
    assert not health.failures
    assert health.deadline == math.inf


def test_chores_have_a_pause_too() -> None:
    """A chore that failed is due after its pause, with the prefixes or before them, and forgotten when it is done."""
    health = Health()
    attempt(health, set(NETS), set(NETS[:1]), 0.5)
    health.failed("address", "no room", 0.0)
    assert health.deadline == 1.0
    assert not health.is_due("address", 0.9)
    assert health.is_due("address", 1.0)
    health.failed("address", "no room", 1.0)
    assert (health.deadline, health.chores["address"].attempts) == (1.5, 2)
    health.done("address")
    health.done("ledger")
    assert (health.deadline, health.chores) == (1.5, {})


def test_in_a_hurry_everything_is_due() -> None:
    """Who asks for it has the next attempt at prefixes and chores at once; what failed keeps its number of attempts."""
    health = Health()
    for now in (0, 1):
        attempt(health, {NETS[0]}, {NETS[0]}, now)
    health.failed("ledger", "full", 0.0)
    health.hurry()
    assert [cl.prefixes(part) for part in health.due(0.0)] == [[NETS[0]]]
    assert health.is_due("ledger", 0.0)
    assert (health.deadline, health.failures[NETS[0]].attempts) == (-math.inf, 2)


@given(st.lists(st.tuples(st.sets(st.sampled_from(NETS)), st.sets(st.sampled_from(NETS)), st.floats(0, 100))))
def test_failures_are_those_of_the_last_attempt_at_each_prefix(
    attempts: list[tuple[set[Prefix], set[Prefix], float]],
) -> None:
    """A prefix has failed as often as its attempts did since the last good one; all due ones are found."""
    health, failed, now = Health(), dict[Prefix, int](), 0.0
    for tried, refused, later in attempts:
        now += later
        attempt(health, tried | refused, refused, now)
        failed = {prefix: count for prefix, count in failed.items() if prefix not in tried} | {
            prefix: failed.get(prefix, 0) + 1 for prefix in refused
        }
        assert {prefix: failure.attempts for prefix, failure in health.failures.items()} == failed
        dues = [failure.due for failure in health.failures.values()]
        assert health.deadline == min(dues, default=math.inf)
        due = {prefix for part in health.due(now + 4) for prefix in cl.prefixes(part)}
        assert due == {prefix for prefix, failure in health.failures.items() if failure.due <= now + 4}


def test_memory_does_not_grow_with_the_number_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a prefix fails, no more values are known than a table may know unused."""
    monkeypatch.setattr("peerway.model.table.SPARE", 10)
    health = Health()
    for now in range(1000):
        attempt(health, {NETS[0]}, {NETS[0]}, now)
    assert health.failures.codes < 20
