"""The sites of the demo, and that its story is told of working programs only."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from peerway.lab import sites as places
from peerway.lab.bird import program
from peerway.lab.namespace import Namespace
from peerway.lab.sites import built
from peerway.lab.story import tell
from peerway.lab.tour import DemoFailedError, Tour
from tests.harness.need import need_program


def test_sites_reach_each_other_outside_the_tunnel_only(tmp_path: Path) -> None:
    """The sites are joined by their internet and are each other's peers, but have no AllowedIP and no route yet."""
    with built(tmp_path, kept=False) as sites:
        berlin, paris, oslo = sites
        berlin.namespace.run("ping", "-c1", "-W5", "192.0.2.3")
        assert berlin.device.allowed_ips() == {paris.device.public_key: set(), oslo.device.public_key: set()}
        assert not berlin.namespace.succeeds("ping", "-c1", "-W1", paris.address)
        namespaces = [site.namespace for site in sites]
    assert not any(namespace.path.exists() for namespace in namespaces)


def test_bird_accepts_its_configuration(tmp_path: Path, namespace: Namespace) -> None:
    """What a site gives to BIRD is a configuration that BIRD reads without complaint."""
    need_program("bird", "bird2")
    text = places.BIRD_HEAD.format(number=1) + places.BIRD_SESSION.format(
        name="paris", local="fe80::1", own_as=65001, gateway="fe80::2", as_number=65002, device="wg-berlin"
    )
    path = tmp_path / "bird.conf"
    path.write_text(text)
    namespace.run(program("bird"), "-p", "-c", str(path))


@pytest.mark.host_only
def test_the_story_ends_when_peerway_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peerway that ends by itself ends the story with its name, at once."""
    monkeypatch.setattr(places, "PEERWAY", ("false",))
    out = io.StringIO()
    with built(tmp_path, kept=False) as sites, pytest.raises(DemoFailedError, match="peerway ended at berlin"):
        tell(Tour(out, out), sites)
    assert "2. " not in out.getvalue()
