"""The demo is the main job from end to end: BIRD, BGP over WireGuard, peerway, packets. What it claims is true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from peerway.lab import netns
from peerway.lab.demo import KEPT, PARTS, take_down
from peerway.lab.wireguard import SOCKETS
from tests.harness.need import need_program

DEMO = (sys.executable, "-m", "peerway", "demo")


def demo(*options: str, command: Sequence[str] = DEMO) -> subprocess.CompletedProcess[str]:
    need_program("bird", "bird2")
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=600)


def traces() -> set[str]:
    """Namespaces, device sockets and files that a demo could leave."""
    namespaces = {str(path) for part in PARTS for path in netns.DIRECTORY.glob(f"*-{part}")}
    return namespaces | set(map(str, SOCKETS.glob("wg-*"))) | set(map(str, Path("/tmp").glob("peerway-demo-*")))


@pytest.mark.host_only  # three minutes in the emulated machine, where tests/interop/test_bird.py shows the same
def test_the_demo_shows_the_main_job_and_leaves_no_trace() -> None:
    """Every claim of the tour comes true, without a colour code in a pipe, and nothing is left behind."""
    before = traces()
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for part in range(1, 9):
        assert re.search(rf"^{part}\. ", done.stdout, re.MULTILINE)
    assert "10.99.0.0/24 via inet6 <paris> dev wg-berlin proto bird" in done.stdout
    assert "10.99.0.0/24 via inet6 <oslo> dev wg-berlin proto bird" in done.stdout
    assert "\033" not in done.stdout
    assert traces() == before


@pytest.fixture
def _taken_down() -> Iterator[None]:
    yield
    take_down()


@pytest.mark.host_only
@pytest.mark.usefixtures("_taken_down")
def test_a_kept_demo_can_be_looked_at_and_taken_down() -> None:
    """With --keep the sites stay and the commands that are told work; --down takes all away, and may be repeated."""
    before = traces()
    kept = demo("--keep")
    assert kept.returncode == 0, kept.stdout + kept.stderr
    hints = [line.split() for line in kept.stdout.splitlines() if re.match(r" {5}\S+ .*(netns exec|status)", line)]
    assert len(hints) == 4
    for hint in hints:
        told = subprocess.run(hint, input="quit\n", capture_output=True, text=True, check=False, timeout=60)
        assert told.returncode == 0, f"{hint}: {told.stderr}"
    assert "still there" in demo().stderr
    assert demo("--down").returncode == 0
    assert traces() == before
    assert not KEPT.exists()
    assert not any(netns.path_of(f"peerway-{part}").exists() for part in PARTS)
    assert demo("--down").returncode == 0


@pytest.mark.host_only
def test_a_demo_that_cannot_run_says_why() -> None:
    """A missing program ends the demo with its name and the cure, and nothing is left behind."""
    before = traces()
    body = "from peerway.lab import bird, demo; bird.shutil.which = lambda *a, **k: None; raise SystemExit(demo.main())"
    failed = demo(command=(sys.executable, "-c", body))
    assert failed.returncode == 1
    assert "apt-get install" in failed.stderr
    assert traces() == before
