"""Other people's daemons beside peerway: sites in namespaces, and what each test needs of the machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peerway.lab.namespace import Namespace
from tests.harness.daemon import Daemon
from tests.harness.mesh import Mesh, Site
from tests.harness.need import need_root


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root()


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for daemons' files. Not pytest's own: its path may be too long for a socket, and closed to others."""
    path = Path(tempfile.mkdtemp(prefix="pw-interop-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def mesh(namespaces: Callable[[str], Namespace]) -> Mesh:
    """Three sites, a, b and c, without routes and without peerway."""
    return Mesh(namespaces, ("a", "b", "c"))


PeerwayStarter = Callable[..., Daemon]


@pytest.fixture
def peerway(daemon: Callable[..., Daemon]) -> PeerwayStarter:
    """Start peerway at a site, with these settings for all its interfaces."""

    def start(site: Site, **settings: object) -> Daemon:
        site.daemon = daemon(site.namespace, {"interfaces": {"*": settings}} if settings else None)
        return site.daemon

    return start
