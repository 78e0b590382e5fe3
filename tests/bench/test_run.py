"""The short form of the bench, for its correctness: the end states are right, and a wrong one would be seen."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.bench import contestant, figures, run, table
from tests.bench.contest import SHORT, loaded
from tests.bench.contestant import Contestant
from tests.bench.figures import Row
from tests.bench.place import Place, WrongEndError, difference
from tests.harness.need import need_program, need_root


@pytest.fixture(autouse=True)
def _able() -> None:
    need_root()
    need_program("wireguard-go", "wireguard-go")
    need_program("cc", "gcc libc6-dev")
    need_program("bird", "bird2")


def test_the_short_bench_ends_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Every contest ends with what the routes name, and has its row in the table."""
    assert run.main(["--short"]) == 0
    told = capsys.readouterr().out
    assert told.count("\n") > len(run.CONTESTS)
    assert "initial sync, 50,000 routes, 8 peers" in told


def test_a_wrong_end_fails_the_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A contestant that leaves prefixes out makes the status 1, and the first of them is named."""

    def expect_too_much(place: Place, size: object) -> list[Row]:
        loaded(place, 100)
        place.expected = table.generate(100, 0, len(place.keys), seed=2)
        with Contestant(place) as floor:
            floor.settle()
        return []

    monkeypatch.setattr(contestant, "PATIENCE", 1.0)
    monkeypatch.setitem(run.CONTESTS, "initial", expect_too_much)
    assert run.main(["--short", "--only", "initial"]) == 1
    assert "AllowedIPs are wrong in the end, the first is " in capsys.readouterr().err


def test_a_prefix_at_another_peer_is_a_wrong_end() -> None:
    """The check compares each prefix with the peer that its last route names, in both families."""
    with Place(peers=2) as place:
        place.clear()
        loaded(place, 300, 200)
        with Contestant(place) as floor:
            floor.settle()
        place.check("the floor")
        record = place.expected[place.expected["family"] == 10][0]
        other = record.copy().reshape(1)
        other["peer"] = 1 - other["peer"]
        place.give(other)
        with pytest.raises(WrongEndError, match=f"1 AllowedIPs .* the first is {table.text(record)}"):
            place.check("somebody")


def test_the_c_programs_agree_with_each_other() -> None:
    """What the loader adds is what the kernel tells; what `set` gives is what wireguard-go tells."""
    with Place(peers=3) as place:
        place.clear()
        flat = loaded(place, 2_000, 500).expected
        assert not len(difference(place.routes(), flat))
        place.give(flat)
        assert not len(difference(place.held(), flat))
        place.load(flat[:100], "delete")
        assert not len(difference(place.routes(), flat[100:]))


def test_the_table_is_like_the_internets() -> None:
    """Prefixes are unique, three of five IPv4 ones are /24, and the first of eight peers has some 40 %."""
    flat = table.generate(100_000, 22_000, 8)
    four = flat[flat["family"] == 2]
    assert len(np.unique(table.names(flat))) == len(flat) == 122_000
    assert np.mean(four["length"] == 24) == pytest.approx(0.606, abs=0.01)
    assert np.mean(flat["peer"] == 0) == pytest.approx(0.4, abs=0.05)
    assert np.array_equal(flat, table.generate(100_000, 22_000, 8))


def test_usage_is_told() -> None:
    """An unknown word is wrong usage, which measures nothing."""
    with pytest.raises(SystemExit, match="2"):
        run.main(["--fast"])


def test_ratios_are_medians_of_rounds() -> None:
    """A ratio compares within a round; one bad round of the machine does not move it."""
    assert Row("a change", "us", [10, 10, 10], [20, 20, 900]).ratio == 2
    assert Row("no floor", "us", [], [20]).ratio is None


def test_percentiles_are_values_that_were_seen() -> None:
    """The nearest rank: p50 of one value is that value, p99 of a hundred is the largest."""
    assert figures.percentile([7], 0.5) == 7
    assert figures.percentile(range(100), 0.99) == 99
    assert figures.percentile(range(1000), 0.99) == 990


def test_a_bar_is_no_column() -> None:
    """What is measured may be a command with a pipe; its line has as many cells as the others."""
    lines = figures.markdown([Row("`a | b`", "s", [], [1])]).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [7, 7, 7]


def test_a_plot_has_a_point_for_each_size() -> None:
    """Each size has a point on both lines, and equal ratios are equal distances."""
    rows = [Row("a", "s", [x / 1e6], [x / 5e5], size=x) for x in (1_000, 10_000, 100_000)]
    circles = re.findall(r"cx='([\d.]+)' cy='([\d.]+)'", run.plotted([*rows, Row("b", "s", [1], [2])]))
    (x1, y1), (x2, y2), (x3, y3) = ((float(x), float(y)) for x, y in circles[3:])
    assert len(circles) == 6
    assert (x2 - x1, y1 - y2) == pytest.approx((x3 - x2, y2 - y3), abs=0.2)


def test_the_table_goes_between_the_marks_of_the_page(tmp_path: Path) -> None:
    """A page is changed between its marks only, and again the next time."""
    page = tmp_path / "page.md"
    (begin, end), (other, _) = run.marks(), run.marks(kernel=True)
    after = f"between\n{other}\nothers\n{end}\nafter\n"
    page.write_text(f"before\n{begin}\nold\n{end}\n{after}")
    for text in ("first\n", "second\n"):
        run.put(page, text, run.marks())
        assert page.read_text() == f"before\n{begin}\n{text}{end}\n{after}"
    run.put(page, "mine\n", run.marks(kernel=True))
    assert page.read_text() == f"before\n{begin}\nsecond\n{end}\nbetween\n{other}\nmine\n{end}\nafter\n"


def test_all_contests_have_a_short_form() -> None:
    """The short form holds every contest, over small tables."""
    assert SHORT.routes <= 50_000
    assert SHORT.rounds == 1
