"""Settings of the daemon say of each interface what the file said, without a library."""

from __future__ import annotations

import pickle
import subprocess
import sys

from peerway.config import parse
from peerway.model.policy import Accept, PeerPolicy, Policy
from peerway.settings import DaemonSettings, Entry, Settings
from tests.harness.site import key

A, B = key(1), key(2)
LIST = (Accept.parse("10.0.0.0/8 le 24"),)


def test_later_entries_override_earlier_ones_key_by_key() -> None:
    """Globs and names are laid over each other in their order, and so are the entries of a peer."""
    settings = Settings(
        DaemonSettings(),
        {
            "*": Entry({"metric": 5, "max_prefixes": 3}, {"berlin": {"public_key": A}, "nobody": {"accept": ()}}),
            "wg*": Entry({"metric": 6}, {"berlin": {"accept": LIST}, "paris": {"public_key": B}}),
        },
    )
    assert settings.policy("eth0") == Policy(metric=5, max_prefixes=3, peers={A: PeerPolicy("berlin", None)})
    assert settings.policy("wg0") == Policy(
        metric=6, max_prefixes=3, peers={A: PeerPolicy("berlin", LIST), B: PeerPolicy("paris", None)}
    )
    assert Settings().policy("wg0") == Policy()


def test_what_a_file_says_passes_between_processes() -> None:
    """Settings that were read arrive as they were sent, and mean the same."""
    text = f"""
        daemon: {{poll_interval: 2s}}
        interfaces:
          "*": {{protocols: ["!static"], prefixes: ["fe80::/64", "10.237.0.0/16"], pinned: yields, on_stop: flush}}
          wg0: {{peers: {{berlin: {{public_key: "{A}", accept: ["10.0.0.0/8 le 24"]}}}}}}
    """
    config = parse(text, "f.yaml")
    sent = config.resolved()
    arrived = pickle.loads(pickle.dumps(sent))
    assert arrived == sent
    assert arrived.daemon == DaemonSettings(poll_interval=2.0)
    assert arrived.policy("wg0") == config.policy("wg0") != arrived.policy("wg1")


def test_the_defaults_are_those_of_the_file() -> None:
    """No file, and an empty one, mean the same."""
    assert parse("", "f.yaml").resolved() == Settings()


def test_the_daemon_holds_no_parser() -> None:
    """What the daemon imports at its start has neither the YAML library nor the one that checks settings in it."""
    code = "import sys, peerway.daemon; sys.exit(bool({'pydantic', 'ruamel.yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
