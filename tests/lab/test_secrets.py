"""No private and no preshared key gets out of WireGuard through peerway: by no log, answer, file or process."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon
from tests.harness.events import Listener

KEY = PublicKey(bytes([1]) * 32)
GATEWAY = px.address_text(derived_address(px.parse("fe80::/64"), KEY))
SECRETS = {name: wireguard.new_private_key() for name in ("private", "other private", "psk", "other psk", "misplaced")}


def forms(secret: str) -> Iterator[bytes]:
    """A key as it might be seen: base64, also for addresses; hex; bytes; and the greater part of it."""
    raw = base64.b64decode(secret)
    whole = (secret, secret.replace("+", "-").replace("/", "_"), raw.hex(), raw.hex().upper())
    for text in whole:
        yield text.encode()
        yield text.encode()[: len(text) // 2]
        yield text.encode()[len(text) // 2 :].rstrip(b"=")
    yield raw
    yield repr(raw)[2:-1].encode()


def leaks(text: bytes) -> list[str]:
    """Which keys stand in it."""
    return [name for name, secret in SECRETS.items() if any(form in text for form in forms(secret))]


class Watch:
    """A daemon as a process of its own, and all that it says and writes."""

    def __init__(self, daemon: Daemon, process: subprocess.Popen[bytes]) -> None:
        self.daemon, self.process = daemon, process

    def said(self) -> dict[str, bytes]:
        """Everything that can be seen of it now, by where it is seen."""
        found = {"log": self.daemon.log_path.read_bytes()}
        for path in ("/v1/status", "/v1/routes", "/v1/why?target=10.9.0.1", "/v1/why?target=nonsense", "/v1/nonsense"):
            found[path] = json.dumps(self.daemon.request("GET", path)).encode()
        for path in ("/v1/verify", "/v1/sync", "/v1/reload"):
            found[path] = json.dumps(self.daemon.request("POST", path)).encode()
        body = {"prefix": "10.66.0.0/16", "peer": SECRETS["private"]}
        answer = json.dumps(self.daemon.request("POST", "/v1/routes", body=body)).encode()
        found["/v1/routes"] = answer.replace(SECRETS["private"].encode(), b"")  # who asks is told what he asked for
        for file in (self.daemon.home / "state").rglob("*"):
            found[file.name] = file.read_bytes()
        for name in ("cmdline", "environ"):
            found[name] = Path(f"/proc/{self.process.pid}/{name}").read_bytes()
        return found

    def check(self) -> None:
        for where, text in self.said().items():
            assert text or where.endswith(".lock"), f"{where} is empty"
            assert not leaks(text), f"{where} has the keys {leaks(text)}"


@pytest.fixture
def watch(wg: WireGuard, namespace: Namespace) -> Iterator[Watch]:
    """Started as an operator would, with all that it can log."""
    daemon = Daemon(namespace)
    (daemon.home / "state").mkdir()
    with daemon.log_path.open("wb") as log:
        words = (sys.executable, "-X", "dev", "-m", "peerway", "run", "-c", str(daemon.config_path))
        process = namespace.popen(*words, stdout=log, env={"PYTHONASYNCIODEBUG": "1"})
    daemon.settle(lambda: answers(daemon), what="the control socket")
    daemon.request("POST", "/v1/sync")
    yield Watch(daemon, process)
    daemon.close()


def answers(daemon: Daemon) -> bool:
    with suppress(OSError):
        return bool(daemon.get("/v1/status"))
    return False


def set_keys(wg: WireGuard, which: str) -> None:
    words = ("wg", "set", wg.name)
    wg.namespace.run(*words, "private-key", "/proc/self/fd/0", input=SECRETS[f"{which}private"])
    wg.namespace.run(*words, "peer", str(KEY), "preshared-key", "/proc/self/fd/0", input=SECRETS[f"{which}psk"])


def test_no_key_is_told_anywhere(wg: WireGuard, namespace: Namespace, watch: Watch) -> None:
    """Keys that are set, changed and taken away are in no event, answer, log, file, command line or environment."""
    daemon = watch.daemon
    with Listener(daemon) as listener:
        for which in ("", "other "):
            set_keys(wg, which)
            listener.mark()
        namespace.ip("route", "add", "10.9.0.0/24", "via", "inet6", GATEWAY, "dev", wg.name)
        daemon.settle(lambda: "10.9.0.0/24" in wg.allowed_ips()[str(KEY)], what="the AllowedIP")
        listener.mark()
        events = json.dumps(listener.since(0)).encode()
        assert {b"public-key-changed", b"preshared-key-changed"} <= set(re.findall(rb"[a-z]+-key-changed", events))
        assert not leaks(events)
        watch.check()
        namespace.run("wg", "set", wg.name, "peer", str(KEY), "remove")
        listener.mark()
        assert not leaks(json.dumps(listener.since(0)).encode())
    watch.check()


def test_no_key_is_told_by_errors(wg: WireGuard, namespace: Namespace, watch: Watch) -> None:
    """A device that vanishes at work, a file that is broken around a key, and a wrong question tell no key."""
    daemon = watch.daemon
    set_keys(wg, "")
    daemon.request("POST", "/v1/sync")
    settings = {"private_key": SECRETS["misplaced"], "peers": {"x": {"public_key": SECRETS["misplaced"] + "x"}}}
    good = daemon.config_path.read_text()
    daemon.config_path.write_text(json.dumps({**json.loads(good), "interfaces": {"*": settings}}))
    answer = daemon.request("POST", "/v1/reload")
    assert answer["http_status"] == 400
    assert not leaks(answer["error"].encode())
    watch.process.send_signal(1)
    daemon.settle(lambda: "ERROR" in daemon.log(), what="a word about the file in the log")
    watch.check()
    daemon.config_path.write_text(good[:-20] + f'"preshared_key": {SECRETS["misplaced"]}')
    assert daemon.request("POST", "/v1/reload")["http_status"] == 400
    watch.check()
    nets = [f"10.{64 + (number >> 8)}.{number & 255}.0/24" for number in range(2000)]
    lines = "\n".join(f"route add {net} via inet6 {GATEWAY} dev {wg.name}" for net in nets)
    (daemon.home / "batch").write_text(lines + "\n")
    batch = namespace.popen("ip", "-force", "-batch", str(daemon.home / "batch"))
    time.sleep(0.1)
    wg.delete()
    batch.wait()
    daemon.settle(lambda: not daemon.get("/v1/status")["interfaces"], what="the device to be forgotten")
    watch.check()
    assert watch.process.poll() is None
    assert "Traceback" not in daemon.log()


def test_the_test_would_see_them() -> None:
    """Each form of a key is found in a longer text, and nothing in one without."""
    for name, secret in SECRETS.items():
        for form in forms(secret):
            assert leaks(b"before" + form + b"after") == [name]
    assert not leaks(json.dumps([str(KEY), GATEWAY, os.getpid()]).encode())
