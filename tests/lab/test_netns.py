"""The system calls behind namespaces do what ip-netns(8) does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from peerway.lab import netns

NAME = f"pw-{os.getpid()}-0-calls"


def test_a_namespace_is_one_that_ip_knows() -> None:
    """`ip netns` lists a namespace that was made here; a second of its name is refused; removed, it is gone."""
    netns.create(NAME)
    try:
        assert NAME in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
        with pytest.raises(FileExistsError):
            netns.create(NAME)
    finally:
        netns.remove(NAME)
    netns.remove(NAME)
    assert not netns.path_of(NAME).exists()


def test_namespaces_do_not_pile_up_mounts() -> None:
    """However many namespaces are made and removed, their directory stays one mount and nothing stays in it."""
    for _ in range(4):
        netns.create(NAME)
        netns.remove(NAME)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert mounts.count(str(netns.DIRECTORY)) == 1
    assert str(netns.path_of(NAME)) not in mounts


def test_processes_of_a_namespace_are_found() -> None:
    """The members of a namespace are the processes started in it, and not this one."""
    netns.create(NAME)
    try:
        with netns.entered(netns.path_of(NAME)):
            assert netns.members(NAME) == []
            child = subprocess.Popen(["sleep", "1000"])
        assert netns.members(NAME) == [child.pid]
        child.kill()
        child.wait()
        assert netns.members(NAME) == []
    finally:
        netns.remove(NAME)
    assert netns.members(NAME) == []
