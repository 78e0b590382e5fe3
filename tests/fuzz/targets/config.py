"""The configuration."""

from __future__ import annotations

from peerway.config import Config, parse
from peerway.config_errors import ConfigError

EXAMPLE = """
daemon: {control_socket: /run/peerway/control.sock, poll_interval: 1s}
interfaces:
  "*": &all
    route_sync: both
    prefixes: ["fe80::/64"]
    tables: [main, 0x20]
    protocols: ["*", "!static"]
    metric: 4096
  wg0:
    <<: *all
    peers:
      berlin: {public_key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", accept: ["10.0.0.0/8 le 24"]}
"""


def seeds() -> list[bytes]:
    laughs = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9))
    return [
        EXAMPLE.encode(),
        b"interfaces:\n  wg0: {metric: 0x" + b"f" * 40 + b", max_prefixes: 1e999, default_route: yes}\n",
        b"interfaces: {wg0: &a {peers: *a}}\n",
        f"x0: &x0 [a]\n{laughs}".encode(),
        b"interfaces: " + b"[" * 50,
        b"daemon: !!python/object {}\n? [a]\n: b\n--- x\n",
        b"daemon: {poll_interval: .nan, state_directory: /\xc3\xa4\n",
        EXAMPLE.encode("utf-16"),
    ]


def one(data: bytes) -> None:
    """
    Any text is a configuration or a ConfigError, whose every problem is one line with what is wrong and the cure, and
    repeats little of the text. A configuration gives a policy for each interface.
    """
    text = data.decode("utf-8", "surrogateescape")
    try:
        config = parse(text, "fuzz.yaml")
    except ConfigError as error:
        _check(error)
        return
    assert isinstance(config, Config)
    for name in ("wg0", *list(config.interfaces)[:4]):
        config.policy(name)
    config.model_dump_json()


def _check(error: ConfigError) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.what
        assert problem.cure
        assert len(problem.value) <= 60
        assert len(str(problem).splitlines()) == 1, str(problem)
