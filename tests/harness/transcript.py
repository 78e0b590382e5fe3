"""The console blocks of a docs page, run as they stand: python -m tests.harness.transcript [--write] PAGE...

A page's commands run in order, in one namespace with the interface wg0, the peers of docs/example.yaml (nobody answers
at their endpoints) and a real daemon; YAML blocks that begin with the line ALSO are laid over that file. What they
print is compared with the page, or with --write put into it. In the
expected text a line `...` stands for any lines. Times, the backend and counts of the kernel's routes are not compared.

This is a program of its own, since it runs in a mount namespace: userspace WireGuard's sockets are files, and wg0 may
be taken.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from peerway.config import load
from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLE: Final = ROOT / "docs" / "example.yaml"
SOCKET: Final = "/run/peerway/control.sock"
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    r"|(?<=\()(kernel|userspace)(?=\))|(?<=backend\": \")(kernel|userspace)"
    r"|\d+(?= prefixes\))|(?<=ifindex\": )\d+"
)
ALSO: Final = "# /etc/peerway/peerway.yaml, with the peers of the examples\n"
OWN_KEY: Final = base64.b64encode(hashlib.sha256(b"the host in the examples of docs").digest()).decode()


def blocks(text: str, *languages: str) -> Iterator[str]:
    """The contents of the fenced blocks in these languages."""
    for language, body in BLOCK.findall(text):
        if language in languages:
            yield body


def steps(block: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it should print."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def matches(expected: str, printed: str) -> bool:
    """Whether an output is as expected."""
    parts = [re.escape(VARIES.sub("VARIES", part)) for part in re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*".join(parts), VARIES.sub("VARIES", printed)) is not None


@contextmanager
def host() -> Iterator[tuple[Namespace, dict[str, str]]]:
    """The host of the examples, and the environment that its commands run in."""
    with Namespace("docs") as namespace, tempfile.TemporaryDirectory(prefix="peerway-docs-") as home:
        device = wireguard.create(namespace, "wg0", private_key=OWN_KEY)
        config = load(EXAMPLE)
        peers: dict[PublicKey, str] = {key: peer.name for key, peer in config.policy("wg0").peers.items()}
        for number, key in enumerate(peers, 2):
            device.set_peer(str(key), endpoint=f"192.0.2.{number}:51820", allowed_ips=[])
        yield namespace, {**os.environ, "HOME": home, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def settings(text: str) -> dict[str, Any]:
    """The configuration of a page."""
    found: dict[str, Any] = YAML(typ="safe").load(EXAMPLE)
    for block in blocks(text, "yaml"):
        if block.startswith(ALSO):
            for name, given in YAML(typ="safe").load(block)["interfaces"].items():
                found["interfaces"].setdefault(name, {}).update(given)
    return found


def run(page: Path, *, write: bool) -> list[str]:
    """Run a page's commands. Returns what differs, one text for each command."""
    text, differences = page.read_text(), list[str]()
    with host() as (namespace, environment), Daemon(namespace, settings(text)) as daemon:
        environment["PEERWAY_SOCKET"] = str(daemon.control_socket)
        for block in blocks(text, "console"):
            fresh = ""
            for command, expected in steps(block):
                daemon.request("POST", "/v1/sync")
                printed = output(namespace, environment, command.replace(SOCKET, environment["PEERWAY_SOCKET"]))
                if not matches(expected, printed):
                    differences.append(f"{page.name}: $ {command}\n--- expected\n{expected}--- printed\n{printed}")
                fresh += f"$ {command}\n{expected if '...' in expected.split() else printed}"
            text = text.replace(f"```console\n{block}```", f"```console\n{fresh}```")
    if write:
        page.write_text(text)
    return [] if write else differences


def output(namespace: Namespace, environment: dict[str, str], command: str) -> str:
    """What a command line prints on both its outputs, without spaces at the ends of lines."""
    pipe = subprocess.PIPE
    with namespace.enter():
        done = subprocess.run(
            ["sh", "-c", command],
            env=environment,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=ROOT,
        )
    return re.sub(r" +$", "", done.stdout, flags=re.MULTILINE)


def main(words: Sequence[str]) -> int:
    """
    Returns 1 if an output is not as its page says.
    """
    sockets = wireguard.SOCKETS
    sockets.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(sockets.resolve())], check=True)
    differences = [
        difference for name in words if name != "--write" for difference in run(Path(name), write="--write" in words)
    ]
    print(*differences, sep="\n")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
