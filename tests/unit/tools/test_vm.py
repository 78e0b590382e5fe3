"""The pure parts of the guest's tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import vm
from tools.vm import Order, VmError


def test_an_archive_is_read_back_by_cpio(tmp_path: Path) -> None:
    """The archive that the kernel unpacks holds the names, modes and contents that were put in."""
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        pytest.skip("busybox is missing: apt-get install busybox-static")
    data = vm.cpio([("d", 0o40755, b""), ("d/x", 0o100755, b"odd"), ("d/y", 0o100644, b"")])
    subprocess.run([busybox, "cpio", "-i", "-d"], input=data, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "d/x").read_bytes() == b"odd"
    assert (tmp_path / "d/x").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "d/y").read_bytes() == b""


SOURCES = """
http://other.example/linux/debian/ bookworm stable
http://mirror.example/debian-security/ bookworm-security main
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm-updates main
"""


def test_the_mirror_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels come from where apt has Debian from, security suites from the security archive."""
    monkeypatch.setattr(vm, "output_of", lambda *_argv: SOURCES)
    assert vm.mirror("trixie-backports") == "http://mirror.example/debian/"
    assert vm.mirror("bookworm-security") == "http://mirror.example/debian-security/"


def test_a_machine_without_a_mirror_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Debian source the error names the suite and the cure."""
    monkeypatch.setattr(vm, "output_of", lambda *_argv: "")
    with pytest.raises(VmError, match=r"trixie-backports.*sources\.list"):
        vm.mirror("trixie-backports")


def test_words_reach_the_guest_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces, quotes and dollar signs of a command survive the guest's shell."""
    monkeypatch.setattr(vm, "initramfs", lambda *_argv: b"")
    words = ["printf", "%s|", "a b", "it's", "$HOME", '"']
    vm.lay_out(Order("old", words, [tmp_path], ["X=1 2"]), tmp_path, "6.1")
    line = next(line for line in (tmp_path / "guest").read_text().splitlines() if "exec env -i" in line)
    command = line[line.index("exec ") : line.index(" )")]
    assert (
        subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout == "a b|it's|$HOME|\"|"
    )
    assert (tmp_path / "rw").read_text().splitlines() == [str(tmp_path / "out"), str(tmp_path)]
