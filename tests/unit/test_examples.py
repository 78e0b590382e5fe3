"""The example files are true: what they say is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from peerway.config import Config, DaemonSettings, InterfaceSettings, load, parse
from peerway.model.policy import Policy

EXAMPLE = Path(__file__).resolve().parents[2] / "etc" / "peerway.yaml"


def test_the_example_names_every_setting_with_its_default() -> None:
    """The example configuration changes nothing, and leaves out no setting but groups and those below a peer."""
    config = load(EXAMPLE)
    assert config.daemon == DaemonSettings()
    assert config.policy("wg0") == Policy()
    assert config.daemon.model_fields_set == set(DaemonSettings.model_fields) - {"read_group", "admin_group"}
    assert config.interfaces["*"].model_fields_set == set(InterfaceSettings.model_fields) - {"peers"}


def test_the_commented_part_of_the_example_is_valid() -> None:
    """What the example shows in comments can be used as it stands."""
    whole: Config = parse(re.sub(r"^  # ", "  ", EXAMPLE.read_text(), flags=re.MULTILINE), "etc/peerway.yaml")
    (peer,) = whole.policy("wg0").peers.values()
    assert peer.name == "berlin"
    assert len(peer.accept or ()) == 2
