"""The short form of the bench, for its correctness: the end states are right, and a wrong one would be seen."""

from __future__ import annotations

import pytest

from tests.bench import figures
from tests.bench.floor import Floor
from tests.bench.place import Place, WrongEndError
from tests.bench.run import main
from tests.harness.need import need_program, need_root


@pytest.fixture(autouse=True)
def _able() -> None:
    need_root()
    need_program("wireguard-go", "wireguard-go")


def test_the_short_bench_ends_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Floor and peerway both end with the AllowedIPs that the routes name, and each has its row in the tables."""
    assert main(["--short"]) == 0
    told = capsys.readouterr().out
    assert told.count("\nfloor  ") == told.count("\npeerway  ") == 2


def test_a_wrong_end_fails_the_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A contestant that leaves prefixes out makes the status 1, and the first of them is named."""
    monkeypatch.setattr(Floor, "sync", lambda _: None)
    assert main(["--short"]) == 1
    assert "wrong in the end, the first is 10.0." in capsys.readouterr().err


def test_a_prefix_at_another_peer_is_a_wrong_end() -> None:
    """The check compares each prefix with the peer that its last route names."""
    with Place(peers=2) as place:
        place.clear()
        place.load(2)
        floor = Floor(place)
        floor.sync()
        place.check("the floor")
        place.set(f"set=1\npublic_key={place.keys[1].hex()}\nallowed_ip=10.0.0.0/24\n\n")
        with pytest.raises(WrongEndError, match=r"1 AllowedIPs .* the first is 10\.0\.0\.0/24"):
            place.check("somebody")
        floor.close()


def test_usage_is_told() -> None:
    """An unknown word is wrong usage, which measures nothing."""
    assert main(["--fast"]) == 2


def test_ratios_are_medians_of_rounds() -> None:
    """A ratio compares within a round; one bad round of the machine does not move it."""
    rounds = {"floor": [[10], [10], [10]], "peerway": [[20], [20], [900]]}
    _, floor, peerway = figures.lines(rounds, {"median": 0.5}, ("ns", 1))
    assert floor.split() == ["floor", "10.0", "1.00"]
    assert peerway.split() == ["peerway", "20.0", "2.00"]


def test_percentiles_are_values_that_were_seen() -> None:
    """The nearest rank: p50 of one value is that value, p99 of a hundred is the largest."""
    assert figures.percentile([7], 0.5) == 7
    assert figures.percentile(range(100), 0.99) == 99
    assert figures.percentile(range(1000), 0.99) == 990
