from __future__ import annotations

import base64
import io
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from peerway.backends.names import Names
from peerway.config import Config, load, parse
from peerway.config_errors import ConfigError
from peerway.config_reference import EXAMPLE
from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.policy import ALL_PROTOCOLS, Accept, OnStop, PeerPolicy, Pinned, Policy, RouteSync

KEYS = [base64.b64encode(bytes([number] * 32)).decode() for number in range(4)]


def yaml_text(data: Any) -> str:
    stream = io.StringIO()
    YAML().dump(data, stream)
    return stream.getvalue()


def entries() -> st.SearchStrategy[dict[str, Any]]:
    peer = st.fixed_dictionaries(
        {"public_key": st.sampled_from(KEYS)}, optional={"accept": st.just(["10.0.0.0/8 le 24"]) | st.just([])}
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "metric": st.integers(1, 2**32 - 1),
            "table": st.sampled_from(["main", "default", 7, "0x64"]),
            "tables": st.lists(st.sampled_from(["main", "local", 12]), min_size=1, max_size=3),
            "pinned": st.sampled_from(["wins", "yields"]),
            "default_route": st.booleans(),
            "peers": st.dictionaries(st.sampled_from(["a", "b"]), peer, max_size=1),
        },
    )


@given(
    st.dictionaries(st.sampled_from(["*", "wg*", "wg0", "wg?", "tun0"]), entries()), st.sampled_from(["wg0", "tun0"])
)
def test_later_entries_override_earlier_ones_key_by_key(interfaces: dict[str, Any], name: str) -> None:
    """What counts for an interface is what the last matching entry says of each key, peers by their name."""
    expected: dict[str, Any] = {}
    peers: dict[str, Any] = {}
    for pattern, entry in interfaces.items():
        if fnmatchcase(name, pattern):
            expected |= entry
            for peer, settings in entry.get("peers", {}).items():
                peers[peer] = peers.get(peer, {}) | settings
    try:
        policy = parse(yaml_text({"interfaces": interfaces}), "f").policy(name)
    except ConfigError as error:
        assume(not all("same key" in problem.what for problem in error.problems))
        raise
    names = Names()
    assert policy.metric == expected.get("metric", 4096)
    assert policy.table == names.table(expected.get("table", "main"))
    assert policy.tables == tuple(map(names.table, expected.get("tables", ["main"])))
    assert policy.pinned is Pinned(expected.get("pinned", "wins"))
    assert policy.default_route is expected.get("default_route", False)
    by_name = {peer.name: (key, peer.accept) for key, peer in policy.peers.items()}
    for peer, settings in peers.items():
        if sum(other["public_key"] == settings["public_key"] for other in peers.values()) == 1:
            accept = tuple(map(Accept.parse, settings["accept"])) if "accept" in settings else None
            assert by_name[peer] == (PublicKey.parse(settings["public_key"]), accept)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["*", "bird", "static", 77])), min_size=1, max_size=5))
def test_protocol_rules_apply_in_order(rules: list[tuple[bool, str | int]]) -> None:
    """Each rule adds or excludes its protocols after those before it; a leading exclusion starts from all."""
    rules = [(counts or word == "*", word) for counts, word in rules]
    expected: set[int] = set() if rules[0][0] else set(ALL_PROTOCOLS)
    for counts, word in rules:
        numbers = set(ALL_PROTOCOLS) if word == "*" else {Names().protocol(word)}
        expected = expected | numbers if counts else expected - numbers
    words = [word if counts else f"!{word}" for counts, word in rules]
    config = parse(yaml_text({"interfaces": {"*": {"protocols": words}}}), "f")
    assert config.policy("wg0").protocols == expected


@pytest.mark.parametrize("text", ["", "# nothing\n", "interfaces:\n", "interfaces:\n  wg0:\n", "daemon: {}\n"])
def test_an_empty_configuration_means_the_defaults(text: str) -> None:
    """Nothing said means route sync on each interface with the defaults of DESIGN section 7."""
    config = parse(text, "f")
    assert config.policy("wg0") == Policy()
    assert config.daemon == Config().daemon


def test_every_setting_reaches_the_policy() -> None:
    """Each key of the file is found again in the resolved policy, as number and key."""
    text = f"""
interfaces:
  wg0:
    route_sync: routes-to-peers
    prefixes: [10.237.0.0/16]
    tables: [12, main]
    table: 12
    metric: 5
    route_protocol: 90
    protocols: ["!static"]
    pinned: yields
    default_route: true
    max_prefixes: 9
    on_stop: flush
    aggregate: true
    peers:
      berlin: {{public_key: {KEYS[1]}, accept: ["10.0.0.0/8 ge 9 le 24"]}}
"""
    assert parse(text, "f").policy("wg0") == Policy(
        route_sync=RouteSync.ROUTES_TO_PEERS,
        prefixes=(px.parse("10.237.0.0/16"),),
        tables=(12, 254),
        table=12,
        metric=5,
        route_protocol=90,
        protocols=ALL_PROTOCOLS - {4},
        pinned=Pinned.YIELDS,
        default_route=True,
        max_prefixes=9,
        on_stop=OnStop.FLUSH,
        aggregate=True,
        peers={PublicKey.parse(KEYS[1]): PeerPolicy("berlin", (Accept(px.parse("10.0.0.0/8"), 9, 24),))},
    )


def test_a_peers_key_may_stand_in_another_entry() -> None:
    """A peer named once with its key can be refined by name in other entries."""
    text = f"""
interfaces:
  "*": {{peers: {{berlin: {{public_key: {KEYS[1]}}}}}}}
  wg1: {{peers: {{berlin: {{accept: []}}}}}}
"""
    config = parse(text, "f")
    key = PublicKey.parse(KEYS[1])
    assert config.policy("wg0").peer(key) == PeerPolicy("berlin", None)
    assert config.policy("wg1").peer(key) == PeerPolicy("berlin", ())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1s", 1), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("3", 3), ("0.25", 0.25), ('"2.5 s"', 2.5)],
)
def test_durations_have_a_unit_or_are_seconds(value: str, seconds: float) -> None:
    """A duration is read with its unit, and a bare number counts seconds."""
    assert parse(f"daemon: {{poll_interval: {value}}}", "f").daemon.poll_interval == seconds


def test_the_example_of_the_reference_is_read() -> None:
    """The example that the documentation shows is a valid configuration."""
    policy = parse(EXAMPLE, "f").policy("wg0")
    assert policy.metric == 500
    assert [peer.name for peer in policy.peers.values()] == ["berlin"]


def test_a_named_file_must_exist_and_the_default_need_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file at the default path the defaults hold; a file that was named and is missing is an error."""
    monkeypatch.setattr("peerway.config.DEFAULT_FILE", tmp_path / "default.yaml")
    assert load() == Config()
    with pytest.raises(ConfigError, match=r"named.yaml: no such file; "):
        load(tmp_path / "named.yaml")
    (tmp_path / "default.yaml").write_text("daemon: {poll_interval: 2s}")
    assert load().daemon.poll_interval == 2


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """A directory, or bytes that are not UTF-8, are told by the file's name."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="binary: not UTF-8; "):
        load(tmp_path / "binary")
    with pytest.raises(ConfigError, match="is a directory; "):
        load(tmp_path)


def test_names_come_from_the_names_that_are_given() -> None:
    """A table of the administrator's own is known by its name."""
    names = Names({"main": 254, "blue": 100}, {"own": 77, "bird": 12})
    policy = parse("interfaces: {wg0: {tables: [blue], protocols: [own]}}", "f", names).policy("wg0")
    assert (policy.tables, policy.protocols) == ((100,), frozenset({77}))
