"""The runner of the tiers: it counts what pytest said, and nothing that failed is lost."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from tools import tiers
from tools.tiers import Step, Tier, closing_line


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "LOGS", tmp_path)
    monkeypatch.setattr(tiers, "IN_CI", False)


def python(name: str, body: str) -> Step:
    return Step(name, (sys.executable, "-c", body))


def test_the_closing_line_is_found_and_counted() -> None:
    """Pytest's last line is found below other output, with colour and rule taken away."""
    output = "...\n\033[32m==== \033[1m12 passed\033[0m, 2 skipped, 1 error in 3.04s ====\033[0m\ncleaning up\n"
    closing, counts = closing_line(output)
    assert closing == "12 passed, 2 skipped, 1 error in 3.04s"
    assert counts == Counter(passed=12, skipped=2, errors=1)


def test_a_long_run_has_its_time_twice() -> None:
    """The form that pytest uses for runs of more than a minute counts as well."""
    assert closing_line("123 passed, 4 skipped in 361.16s (0:06:01)")[1] == Counter(passed=123, skipped=4)


def test_output_without_pytest_counts_nothing() -> None:
    """A linter's output is no closing line, even if it speaks of errors."""
    assert closing_line("Found 3 errors in 1 file (checked 9 source files)") == ("", Counter())


@pytest.mark.parametrize("at_once", [False, True])
def test_all_steps_run_and_one_failure_fails_all(
    at_once: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every step runs, also after one that failed; the last line adds their tests up, and the status is not 0."""
    steps = [
        python("good", "print('3 passed in 0.10s')"),
        python("bad", "print('1 failed, 2 passed in 0.10s'); raise SystemExit(1)"),
        python("dead", "raise SystemExit(9)"),
    ]
    monkeypatch.setitem(tiers.TIERS, "try", Tier("a try", steps, at_once=at_once))
    assert tiers.main(["try"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "1 failed, 1 errors, 5 passed in " in last


def test_success_is_status_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a failure the status is 0."""
    monkeypatch.setitem(tiers.TIERS, "try", Tier("a try", [python("good", "print('3 passed in 0.10s')")]))
    assert tiers.main(["try"]) == 0


@pytest.mark.parametrize("in_ci", [False, True])
def test_what_cannot_run_says_why_and_fails_in_ci(
    in_ci: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tier whose programs are missing names their packages; in CI that is a failure."""
    monkeypatch.setattr(tiers, "IN_CI", in_ci)
    step = python("never", "raise SystemExit(0)")
    monkeypatch.setitem(tiers.TIERS, "try", Tier("a try", [step], needs=("no-such-program:its-package",)))
    assert tiers.main(["try"]) == int(in_ci)
    assert "apt-get install its-package" in capsys.readouterr().out


def test_a_step_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step beyond its limit is ended and has failed."""
    step = Step("slow", (sys.executable, "-c", "import time; time.sleep(600)"), 0.3)
    monkeypatch.setitem(tiers.TIERS, "try", Tier("a try", [step]))
    assert tiers.main(["try"]) == 1


def test_unknown_tiers_are_refused() -> None:
    """A name that is no tier is a wrong usage."""
    assert tiers.main(["nonsense"]) == 2
