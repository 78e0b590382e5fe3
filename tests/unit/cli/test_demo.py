from __future__ import annotations

import pytest

import peerway.lab.demo
from tests.unit.cli.conftest import Peerway


@pytest.mark.parametrize("keep", [False, True])
def test_demo_hands_over_to_the_lab(alone: Peerway, monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    """The lab gets the option, and its exit code is the command's."""
    asked: list[dict[str, bool]] = []

    def main(**options: bool) -> int:
        asked.append(options)
        return 1

    monkeypatch.setattr(peerway.lab.demo, "main", main)
    assert alone("demo", *(["--keep"] if keep else [])).exit_code == 1
    assert asked == [{"keep": keep, "down": False}]


def test_a_kept_lab_is_taken_down(alone: Peerway, monkeypatch: pytest.MonkeyPatch) -> None:
    """--down takes away what --keep left."""
    monkeypatch.setattr(peerway.lab.demo, "main", lambda *, keep, down: 0 if down and not keep else 1)
    assert alone("demo", "--down").exit_code == 0
