"""Capabilities that were given up are gone, in a process of the test's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerway.backends import privileges
from peerway.backends.privileges import CAP_CHOWN, CAP_NET_ADMIN, CAP_NET_RAW, has, keep, process_has

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status() -> dict[str, str]:
    """What the kernel tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def in_child(work: Callable[[], object]) -> Any:
    """What `work` returns in a process of its own."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writable, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up: run it with sudo")
def test_what_is_not_kept_is_gone_for_good() -> None:
    """Permitted and effective hold what was kept, the bounding set no more, and no program gives anything back."""

    def work() -> object:
        keep({CAP_NET_ADMIN, CAP_NET_RAW})
        first = {name: int(status()[name], 16) for name in SETS}
        keep({CAP_NET_ADMIN, CAP_CHOWN})
        second = {name: int(status()[name], 16) for name in SETS}
        refused = False
        try:
            os.chown("/proc/self/cwd", 1, 1)
        except PermissionError:
            refused = True
        return first, second, status()["NoNewPrivs"], refused, [has(CAP_NET_ADMIN), has(CAP_NET_RAW)]

    both, admin = 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW, 1 << CAP_NET_ADMIN
    first, second, no_new, refused, held = in_child(work)
    assert first == {"CapInh": 0, "CapPrm": both, "CapEff": both, "CapBnd": both, "CapAmb": 0}
    assert (second["CapPrm"], second["CapEff"], second["CapInh"]) == (admin, admin, 0)
    assert second["CapBnd"] & ~both == 0
    assert (no_new, refused, held) == ("1", True, [True, False])


def test_without_privileges_there_is_nothing_to_give_up() -> None:
    """A process that has no capability may ask for the same, twice."""

    def work() -> object:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        keep({CAP_NET_ADMIN})
        keep({CAP_NET_ADMIN})
        return [status()["CapEff"], status()["NoNewPrivs"], has(CAP_NET_ADMIN)]

    assert in_child(work) == ["0" * 16, "1", False]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("Name:\tpeerway\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n", True),
        ("Name:\tpeerway\nCapPrm:\t0000000000001000\nCapEff:\t0000000000000000\n", False),
        ("Name:\tpeerway\nCapEff:\tffffffffffffefff\n", False),
    ],
)
def test_the_effective_set_counts(text: str, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit 12 of CapEff counts, whoever the user is (capabilities(7))."""
    for name in ("thread-self", "77"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "status").write_text(text)
    monkeypatch.setattr(privileges, "PROC", tmp_path)
    assert has(CAP_NET_ADMIN) is process_has(77, CAP_NET_ADMIN) is allowed


@pytest.mark.parametrize("user", [0, 1000])
def test_without_proc_the_user_counts(user: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where capabilities cannot be read, root may and others may not; of another process nothing is believed."""
    monkeypatch.setattr(privileges, "PROC", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert has(CAP_NET_ADMIN) is (user == 0)
    assert not process_has(77, CAP_NET_ADMIN)
