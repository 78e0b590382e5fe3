"""The emulated machine is what it is meant to be, so that the lab's tests in it speak of the kernel's own WireGuard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard


@pytest.fixture(autouse=True)
def _guest() -> None:
    if "IN_GUEST" not in os.environ:
        pytest.skip("this is about the emulated machine: make kernel")


def test_devices_are_the_kernels_own(wg: WireGuard) -> None:
    """A device of this machine is made by the kernel's module, with no userspace program behind it."""
    assert wireguard.kernel_has_wireguard()
    assert not wg.userspace
    assert " wireguard " in wg.namespace.ip("-details", "link", "show", wg.name)


def test_other_programs_changes_can_be_seen(namespace: Namespace) -> None:
    """The kernel makes nlmon devices, which show what other programs ask of WireGuard."""
    namespace.ip("link", "add", "seen", "type", "nlmon")


def test_the_kernel_is_the_one_that_was_asked_for() -> None:
    """The old kernel is of the 6.1 series, which cannot take a single AllowedIP away; the new one is at least 6.16."""
    asked = Path("/proc/sys/kernel/hostname").read_text().strip()
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert version == (6, 1) if asked == "vm-old" else version >= (6, 16)
