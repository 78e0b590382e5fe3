"""What a test needs of the machine: if missing, it is skipped with its cure; in CI it fails, so that it is noticed."""

from __future__ import annotations

import os
import shutil

import pytest

from peerway.lab import wireguard


def need(met: bool, sentence: str) -> None:
    """Skip the test unless `met`; under CI=true fail it. The sentence says what is missing, and the cure."""
    if met:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this: {sentence}", pytrace=False)
    pytest.skip(sentence)


def need_root() -> None:
    """Skip or fail unless the test may make namespaces."""
    need(os.geteuid() == 0, "namespaces need root: run it with sudo")


def need_program(name: str, package: str) -> str:
    """The path of a program, searched also where daemons live; skip or fail if it is not installed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/frr")
    need(found is not None, f"{name} is missing: apt-get install {package}")
    return found or name


def need_kernel_wireguard() -> None:
    """
    Skip where the kernel has no WireGuard of its own, also in CI: there `make kernel` runs the same test on two kernels
    that have it, and in them a missing module is a failure.
    """
    if not wireguard.kernel_has_wireguard() and "IN_GUEST" in os.environ:
        pytest.fail("this emulated kernel was chosen for its WireGuard and has none", pytrace=False)
    if not wireguard.kernel_has_wireguard():
        pytest.skip("the kernel has no WireGuard module: run it with `make kernel`")
