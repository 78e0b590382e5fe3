"""A short run of each fuzz target, the same each time; `make fuzz` is the long one, guided by coverage."""

from __future__ import annotations

import pytest

from tests.fuzz import corpus, mutate

MUTANTS = 1500
SEED = 2


@pytest.mark.parametrize("name", corpus.TARGETS)
def test_hostile_bytes_break_nothing(name: str) -> None:
    """What the target's docstring says holds for its inputs, changed at random many times."""
    one = corpus.target(name)
    for data in mutate.mutants(corpus.inputs(name), SEED, MUTANTS):
        one(data)
