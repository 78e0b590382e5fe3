"""What all tests share: fixtures for namespaces, WireGuard devices and daemons, and an orderly end on signals."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace, sweep
from peerway.lab.signals import raising_at_the_end
from peerway.lab.wireguard import WireGuard
from tests.harness.daemon import Daemon
from tests.harness.need import need_root

settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("guest", settings.get_profile("default"), max_examples=10)  # an emulated machine is slow
settings.register_profile("long", settings.get_profile("default"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

MARKERS = ("host_only: does not run in the emulated machine, where it would be too slow or lacks something",)


def pytest_configure(config: pytest.Config) -> None:
    """Declare our markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.fixture(scope="session", autouse=True)
def _signals_end_the_run_in_order() -> Iterator[None]:
    """Namespaces and their processes go also when the run is terminated; what a killed run left goes now."""
    if os.geteuid() == 0:
        sweep()
    with raising_at_the_end():
        yield


@pytest.fixture
def namespaces() -> Iterator[Callable[[str], Namespace]]:
    """Make namespaces by label; all are removed at the end, with what runs in them."""
    need_root()
    with contextlib.ExitStack() as stack:
        yield lambda label: stack.enter_context(Namespace(label))


@pytest.fixture
def namespace(namespaces: Callable[[str], Namespace]) -> Namespace:
    """A fresh namespace."""
    return namespaces("here")


@pytest.fixture
def wg(namespace: Namespace) -> WireGuard:
    """A WireGuard device in `namespace`, up, without peers: the kernel's if it has them, else wireguard-go's."""
    return wireguard.create(namespace)


@pytest.fixture
def daemon() -> Iterator[Callable[..., Daemon]]:
    """Start daemons: `daemon(namespace, config)`; they are killed at the end."""
    need_root()
    with contextlib.ExitStack() as stack:

        def start(namespace: Namespace, config: Mapping[str, Any] | None = None) -> Daemon:
            return stack.enter_context(Daemon(namespace, config))

        yield start
