"""The bench on the kernel's own WireGuard: its C programs say and hear what they mean, and contests end right."""

from __future__ import annotations

import pytest

from tests.bench import run
from tests.bench.contest import loaded
from tests.bench.contestant import Contestant
from tests.bench.place import Place, difference
from tests.harness.need import need_kernel_wireguard, need_program, need_root


@pytest.fixture(autouse=True)
def _able() -> None:
    need_root()
    need_kernel_wireguard()
    need_program("cc", "gcc libc6-dev")


def test_the_c_programs_agree_with_each_other() -> None:
    """What `set` gives, and what the floor gives and takes away again, is what the kernel tells; `clear` ends it."""
    with Place(3, kernel=True) as place:
        place.clear()
        flat = loaded(place, 3_000, 500).expected
        place.give(flat)
        assert not len(difference(place.held(), flat))
        place.clear()
        assert not len(place.held())
        with Contestant(place) as floor:
            floor.settle()
            first = floor.stamps.written
            place.load(flat[:300], "delete")
            place.expected = flat[300:]
            floor.settle(first)
        place.check("the floor")


def test_contests_end_right(capsys: pytest.CaptureFixture[str]) -> None:
    """The initial sync and moves end with what the routes name, and have their rows in the table."""
    asked = ("--kernel", "--short", "--routes", "2000", "--only", "initial", "--only", "moves")
    assert run.main(asked) == 0
    told = capsys.readouterr().out
    assert "its own WireGuard" in told
    assert "initial sync, 2,000 routes, 8 peers" in told
    assert "1,000 moves, rate, 2,000 routes, 8 peers" in told
