from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from peerway.backends.names import Names
from peerway.config import Config, DaemonSettings, InterfaceSettings, PeerSettings, parse
from peerway.config_reference import EXAMPLE, reference, schema, show

PAGE = Path(__file__).parents[2] / "docs" / "config.md"
REVERSED = (
    'interfaces:\n  wg0: {metric: 5}\n  "*": {metric: 7, tables: [blue, 9]}\n  wg1: {protocols: ["!static", 77]}\n'
)


def test_the_committed_reference_is_the_generated_one() -> None:
    """docs/config.md is what the declarations give; `python -m peerway.config_reference > docs/config.md` mends it."""
    assert PAGE.read_text() == reference()


def test_the_module_prints_the_reference() -> None:
    """The command that the page names prints the page."""
    run = subprocess.run([sys.executable, "-m", "peerway.config_reference"], capture_output=True, text=True, check=True)
    assert run.stdout == reference()


@pytest.mark.parametrize("group", [DaemonSettings, InterfaceSettings, PeerSettings])
def test_each_setting_has_help(group: type[DaemonSettings | InterfaceSettings | PeerSettings]) -> None:
    """No setting is declared without its help, and each has its section and its place in the schema."""
    for key, declared in group.model_fields.items():
        assert declared.description
        assert f"### {key}\n" in reference()
        assert key in schema()["$defs"][group.__name__]["properties"]


def test_the_schema_gives_defaults_as_the_file_writes_them() -> None:
    """A default in the schema is text that the file may hold, not a number of ours."""
    properties = schema()["$defs"]["InterfaceSettings"]["properties"]
    assert (properties["tables"]["default"], properties["prefixes"]["default"]) == (["main"], ["fe80::/64"])


@pytest.mark.parametrize("text", ["", EXAMPLE, REVERSED])
def test_a_shown_configuration_reads_as_the_same(text: str) -> None:
    """What `config show` prints, read again, gives each interface the same policy."""
    names = Names({"main": 254, "blue": 100})
    config = parse(text, "f", names)
    again = parse(show(config, names), "shown", names)
    for interface in ("wg0", "wg1", "other"):
        assert again.policy(interface) == config.policy(interface)
        alone = parse(show(config, names, interface), "shown", names)
        assert alone.policy(interface) == config.policy(interface)
    assert again.daemon == config.daemon


def test_an_empty_configuration_shows_all_defaults() -> None:
    """Nothing configured shows each setting that has a default."""
    shown = show(Config(), Names())
    for key in {*DaemonSettings.model_fields, *InterfaceSettings.model_fields} - {"peers", "read_group", "admin_group"}:
        assert f"  {key}: " in shown or f"  {key}:\n" in shown
