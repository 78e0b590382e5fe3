"""The console blocks of README and docs, run in a namespace with a real daemon: they print what the pages say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.need import need_program
from tests.harness.transcript import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "features").glob("*.md"))]


def run(page: Path) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--mount", sys.executable, "-m", "tests.harness.transcript", str(page)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.host_only
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_commands_print(page: Path) -> None:
    """Each command of the page prints what stands below it; `make docs` does not mend this, --write does."""
    need_program("wg", "wireguard-tools")
    done = run(page)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.host_only
def test_a_page_that_shows_something_else_fails(tmp_path: Path) -> None:
    """A wrong line is seen, and told with what was printed instead."""
    page = tmp_path / "wrong.md"
    page.write_text("```console\n$ peerway why 10.7.0.1\nAll is well.\n```\n")
    done = run(page)
    assert done.returncode == 1
    assert "The kernel has no route to 10.7.0.1: the packet ends here." in done.stdout
