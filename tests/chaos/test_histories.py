"""Random histories of a real daemon: whatever happens to it, the end is what the rules say."""

from __future__ import annotations

import os

import pytest

from peerway.lab.namespace import Namespace
from tests.chaos.extent import extent
from tests.chaos.mutants import MUTANTS
from tests.chaos.run import HistoryError, Runner

FIRST = int(os.environ.get("PEERWAY_SEED", "0"))
HISTORIES = extent(1000, 12, 4)
SOON = ("pinned_yields_always", "a_link_that_goes_down_is_no_doubt")
MOST = 30  # histories until each of these is seen


def test_random_histories_end_as_the_rules_say(namespace: Namespace) -> None:
    """After each history verify agrees, ip and wg agree, nothing foreign has moved, and nothing has leaked."""
    print(f"PEERWAY_SEED={FIRST}, {HISTORIES} histories")
    runner = Runner(namespace)
    for seed in range(FIRST, FIRST + HISTORIES):
        runner.play(seed)


@pytest.mark.host_only
@pytest.mark.parametrize("name", extent(tuple(MUTANTS), SOON, ()))
def test_a_safety_rule_that_is_turned_off_is_seen(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without one of the rules that keep prefixes safe, a history fails soon."""
    monkeypatch.setattr("tests.chaos.history.PATIENCE", 8.0)
    runner = Runner(namespace, MUTANTS[name])
    most = extent(200, MOST, 0)
    with pytest.raises(HistoryError):
        play(runner, most)


def play(runner: Runner, count: int) -> None:
    """The first so many histories."""
    for seed in range(count):
        runner.play(seed)
