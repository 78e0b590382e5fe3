from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.config import parse
from peerway.config_errors import ConfigError

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(text, "f.yaml")
    assert str(raised.value).splitlines() == [str(problem) for problem in raised.value.problems]
    return [str(problem) for problem in raised.value.problems]


CASES = {
    "unknown key": (
        "interfaces:\n  wg0:\n    mtric: 3\n",
        r"f.yaml:3: interfaces.wg0.mtric: 3: unknown key; did you mean metric\?",
    ),
    "unknown section": ("deamon: {}\n", r"f.yaml:1: deamon: {}: unknown key; did you mean daemon\?"),
    "misplaced key": ("metric: 3\n", r"f.yaml:1: metric: 3: unknown key; it belongs under interfaces.NAME"),
    "wildly unknown": ("daemon:\n  zzz: 1\n", r":2: daemon.zzz: 1: unknown key; known here are control_socket, "),
    "no number": ('interfaces: {wg0: {metric: "1"}}', r"metric: 1: not a whole number; write digits, without quotes"),
    "no truth": (
        "interfaces: {wg0: {default_route: yes}}",
        r"default_route: yes: neither true nor false; write true or",
    ),
    "no list": ("interfaces: {wg0: {tables: main}}", r"tables: main: not a list; write it in brackets"),
    "no mapping": ("interfaces: {wg0: 5}", r"interfaces.wg0: 5: not a mapping; "),
    "no mapping at all": ("- 1", r"f.yaml:1: \[...\]: not a mapping; write keys and values"),
    "too low": ("interfaces: {wg0: {max_prefixes: -1}}", r"max_prefixes: -1: too low; write 0 or more"),
    "too high": ("interfaces: {wg0: {metric: 4294967296}}", r"metric: 4294967296: too high; write 4294967295 or less"),
    "metric zero": ("interfaces: {wg0: {metric: 0}}", r"metric: 0: too low; write 1 or more"),
    "no choice": ("interfaces: {wg0: {pinned: maybe}}", r"pinned: maybe: not one of the choices; write wins or yields"),
    "no value": ("interfaces: {wg0: {pinned: }}", r"pinned: \(no value\): no value; write for example wins"),
    "accept without value": (
        f"interfaces: {{wg0: {{peers: {{a: {{public_key: {KEY}, accept: }}}}}}}}",
        r"a.accept: \(no value\): no value; write one, or take the key away",
    ),
    "unknown table": (
        "interfaces: {wg0: {tables: [main, mian]}}",
        r"tables\[1\]: mian: no table .*did you mean main\?",
    ),
    "table of the kernel": (
        "interfaces: {wg0: {table: local}}",
        r"table: local: this table is the kernel's own; write",
    ),
    "unknown protocol": (
        'interfaces: {wg0: {protocols: ["!statik"]}}',
        r"protocols\[0\]: !statik: .*did you mean static",
    ),
    "everything excluded": (
        'interfaces: {wg0: {protocols: ["!*"]}}',
        r'!\*: this excludes everything; write "route_sync',
    ),
    "protocol of another": (
        "interfaces: {wg0: {route_protocol: bird}}",
        r"route_protocol: bird: .*belongs to bird.*; ",
    ),
    "protocol of people": ("interfaces: {wg0: {route_protocol: 4}}", r"route_protocol: 4: .*belongs to static.*; "),
    "true is no table": ("interfaces: {wg0: {table: true}}", r"table: true: neither a name nor a number; write"),
    "host bits": ("interfaces: {wg0: {prefixes: ['fe80::1/64']}}", r"fe80::1/64: has host bits set; write fe80::/64"),
    "no prefix": (
        "interfaces: {wg0: {prefixes: [x]}}",
        r"prefixes\[0\]: x: not an IPv4 or IPv6 prefix .*; write for ex",
    ),
    "no room": ("interfaces: {wg0: {prefixes: [10.0.0.1/32]}}", r"10.0.0.1/32: leaves no room for addresses; write"),
    "empty list": ("interfaces: {wg0: {tables: []}}", r"tables: \[\]: an empty list; write at least one"),
    "bad accept": (
        f"interfaces: {{wg0: {{peers: {{a: {{public_key: {KEY}, accept: [10.0.0.0/8 el 24]}}}}}}}}",
        r"a.accept\[0\]: 10.0.0.0/8 el 24: after the prefix come",
    ),
    "bad key": (
        f"interfaces: {{wg0: {{peers: {{a: {{public_key: {KEY[:-1]}}}}}}}}}",
        r"a.public_key: \(43 characters\): a public key is 44 characters.*; write for example \S{44}",
    ),
    "peer without key": ("interfaces: {wg0: {peers: {a: }}}", r"peers.a: no entry gives this peer a public_key; write"),
    "key twice": (
        f"interfaces:\n  wg0:\n    peers:\n      a: {{public_key: {KEY}}}\n      b:\n        public_key: {KEY}\n",
        r"f.yaml:6: interfaces.wg0.peers.b.public_key: .*: a has the same key, on the same interface; ",
    ),
    "key twice, by glob": (
        f"interfaces:\n  '*': {{peers: {{a: {{public_key: {KEY}}}}}}}\n  wg0: {{peers: {{b: {{public_key: {KEY}}}}}}}",
        r"f.yaml:3: interfaces.wg0.peers.b.public_key: .*: a has the same key",
    ),
    "bad peer name": (
        f"interfaces: {{wg0: {{peers: {{a b: {{public_key: {KEY}}}}}}}}}",
        r'peers."a b": not a name for a',
    ),
    "long interface": (
        "interfaces:\n  sixteen-letters-: {}\n",
        r"f.yaml:2: interfaces.sixteen-letters-: too long for an",
    ),
    "no interface": ("interfaces: {a/b: {}}", r'interfaces."a/b": not the name of an interface; '),
    "no duration": ("daemon: {poll_interval: soon}", r"poll_interval: soon: not a duration; write it like 1s"),
    "duration too short": ("daemon: {poll_interval: 0}", r"poll_interval: 0: out of range; write a duration from"),
    "relative path": (
        "daemon: {control_socket: run/x}",
        r"control_socket: run/x: not an absolute path; begin it with /",
    ),
    "long path": (
        f"daemon: {{control_socket: /{'x' * 90}}}",
        r"control_socket: /x+\.\.\.: too long for a unix socket; ",
    ),
    "duplicate key": (
        "daemon:\n  poll_interval: 1\n  poll_interval: 2\n",
        r"f.yaml:3: .*: given twice, first in line 2; ",
    ),
    "broken YAML": ("daemon:\n  a: b: c\n", r"f.yaml:2: not YAML: mapping values are not allowed here; check"),
    "unquoted *": ("interfaces:\n  *: {}\n", r'f.yaml:2: not YAML: .*; write a \* in quotes: "\*"'),
    "tab": ("daemon:\n\tpoll_interval: 1\n", r"f.yaml:2: not YAML: .*; indent with spaces"),
    "unquoted ! in a list": (
        "interfaces: {wg0: {protocols: [!static]}}",
        r"f.yaml:1: not YAML: .*; write words that begin",
    ),
    "unquoted !": (
        "interfaces:\n  wg0:\n    protocols:\n    - !static\n",
        r":4: .*protocols\[0\]: !static: an unquoted !",
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_an_error_has_its_place_and_its_cure(text: str, expected: str) -> None:
    """Each way to be wrong gives one line: FILE:LINE: KEY: VALUE: what is wrong; cure."""
    found = errors(text)
    assert len(found) == 1, found
    assert re.search(expected, found[0]), found[0]


def test_all_errors_come_at_once_in_the_order_of_the_lines() -> None:
    """One reading tells everything: duplicates, unknown keys, wrong types, bad names and shared keys together."""
    text = f"""interfaces:
  wg0:
    mtric: 1
    metric: x
    metric: 2
    tables: [mian, 0]
    peers:
      a: {{public_key: {KEY}}}
      b: {{public_key: {KEY}}}
daemon:
  poll_interval: soon
"""
    assert [int(error.split(":")[1]) for error in errors(text)] == [3, 4, 5, 6, 6, 9, 11]


@given(st.sampled_from([KEY, KEY[:-1], KEY[:-2], KEY + "A", bytes(range(32)).hex()]), st.integers(0, 7))
def test_key_material_is_never_repeated(secret: str, place: int) -> None:
    """Whatever looks like a key, wherever it was put by mistake, is not in the error."""
    text = [
        f"interfaces: {{wg0: {{private_key: {secret}}}}}",
        f"interfaces: {{wg0: {{peers: {{a: {{public_key: '{secret}!'}}}}}}}}",
        f"interfaces: {{wg0: {{peers: {{a: {{public_key: {OTHER}, psk: {secret}}}}}}}}}",
        f"interfaces: {{wg0: {{peers: {{a: {{public_key: {OTHER}, accept: [{secret}]}}}}}}}}",
        f"interfaces: {{wg0: {{tables: [{secret}]}}}}",
        f"interfaces: {{wg0: {{prefixes: [{secret}, '{secret}/64']}}}}",
        f"daemon: {{control_socket: {secret}, poll_interval: {secret}}}",
        f"interfaces: {{wg0: {{key: {{private: {secret}}}, metric: {secret}}}}}",
    ][place]
    for error in errors(text):
        assert secret[:20] not in error


@pytest.mark.parametrize("key", ["private_key", "psk", "preshared_key", "password"])
def test_what_is_called_a_secret_is_never_repeated(key: str) -> None:
    """A value below such a name is hidden, whatever it looks like."""
    assert errors(f"interfaces: {{wg0: {{{key}: hunter2}}}}")[0].startswith(f"f.yaml:1: interfaces.wg0.{key}: (7 ch")


@given(st.text(alphabet=st.sampled_from("ab:{}[]-*!&|>'\"\n \t#,1~<"), max_size=40) | st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is read, or is answered with a ConfigError that has something to say."""
    problems: tuple[object, ...] = ("none",)
    try:
        parse(text, "f")
    except ConfigError as error:
        problems = error.problems
    assert all(str(problem) for problem in problems)
    assert problems
