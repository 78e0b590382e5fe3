"""What goes wrong is one clear line and the right exit code, and nothing is changed by it."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon
from tests.harness.need import need_program
from tests.harness.waiting import settle

PEERWAY = (sys.executable, "-m", "peerway")
USAGE, PRIVILEGE = 2, 4
KEY = PublicKey(bytes([1]) * 32)
GATEWAY = px.address_text(derived_address(px.parse("fe80::/64"), KEY))
NET = "10.9.0.0/24"
ROUNDS = 3 if os.environ.get("IN_GUEST") else 8
DaemonMaker = Callable[..., Daemon]


def state_of(namespace: Namespace) -> str:
    """All that a peerway could have changed."""
    commands = ("ip -d link", "ip address", "ip -4 route show table all", "ip -6 route show table all")
    told = [namespace.run(*command.split()) for command in commands]
    return "".join([*told, namespace.run("wg", "show", "all", "allowed-ips"), *map(str, Path("/run/netns").iterdir())])


def outcome(daemon: Daemon) -> tuple[int, list[str]]:
    """How a daemon ended that should end by itself, and what it said last."""

    def ended() -> list[int]:
        pid, status = os.waitpid(daemon.pid, os.WNOHANG)
        return [os.waitstatus_to_exitcode(status)] if pid else []

    (status,) = settle(ended, what="the end of the daemon", tell=daemon.log)
    daemon.pid = 0
    return status, [line for line in daemon.log().splitlines() if not line.startswith("INFO")]


def no_traceback(daemon: Daemon) -> bool:
    return "Traceback" not in daemon.log()


# ---- at the start ----


def run(namespace: Namespace, *words: str) -> tuple[int, str]:
    """The real command, in a process of its own."""
    with namespace.enter():
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_broken_yaml(wg: WireGuard, namespace: Namespace, tmp_path: Path) -> None:
    """A file that is no YAML is one line with its place, and exit code 2."""
    file = tmp_path / "p.yaml"
    file.write_text('interfaces: [\n  "*": {')
    before = state_of(namespace)
    status, told = run(namespace, *PEERWAY, "run", "-c", str(file))
    assert (status, told.count("\n")) == (USAGE, 1)
    assert told.startswith(f"{file}:2: not YAML")
    assert state_of(namespace) == before


def test_wrong_settings(wg: WireGuard, namespace: Namespace, daemon: DaemonMaker) -> None:
    """All that is wrong in a file is told at once, a line each, with place, key, value and cure; exit code 2."""
    before = state_of(namespace)
    refused = Daemon(
        namespace, {"interfaces": {"*": {"metrik": 7, "max_prefixes": "many", "tables": ["main", "nosuch"]}}}
    )
    refused.start(wait=False)
    status, told = outcome(refused)
    assert (status, len(told)) == (USAGE, 3)
    places = ("max_prefixes: many", "metrik: 7: unknown key; did you mean metric?", "tables[1]: nosuch")
    for place in places:
        (line,) = [line for line in told if place in line]
        assert line.startswith(f"{refused.config_path}:")
    assert state_of(namespace) == before
    refused.close()


def test_without_privilege(wg: WireGuard, namespace: Namespace, tmp_path: Path) -> None:
    """Without CAP_NET_ADMIN the daemon says what it needs, and exits with 4."""
    need_program("setpriv", "util-linux")
    bare = ("--inh-caps=-all", "--bounding-set=-all")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *bare]
    if not namespace.succeeds(*nobody, sys.executable, "-c", "import peerway"):
        nobody = ["setpriv", *bare]  # this Python is not for everybody: as root, but without privilege
    before = state_of(namespace)
    status, told = run(namespace, *nobody, *PEERWAY, "run")
    assert (status, told.count("\n")) == (PRIVILEGE, 1)
    assert "CAP_NET_ADMIN" in told
    assert state_of(namespace) == before


def test_without_wireguard(namespace: Namespace, daemon: DaemonMaker) -> None:
    """Where no interface is, the daemon says in one line that it waits; one that comes is served at once."""
    running = daemon(namespace)
    assert running.log().count("waiting for one") == 1
    assert running.get("/v1/status")["interfaces"] == []
    device = wireguard.create(namespace)
    device.set_peer(str(KEY))
    namespace.ip("route", "add", NET, "via", "inet6", GATEWAY, "dev", device.name)
    running.settle(lambda: NET in device.allowed_ips()[str(KEY)], what="the AllowedIP on the new interface")


def test_control_socket_taken(
    wg: WireGuard, namespace: Namespace, namespaces: Callable[[str], Namespace], daemon: DaemonMaker
) -> None:
    """Where another daemon answers on the control socket, the new one says so and exits with 2; the other one stays."""
    first, there = daemon(namespace), namespaces("there")
    before = state_of(namespace)
    second = Daemon(there, {"daemon": {"control_socket": str(first.control_socket)}}).start(wait=False)
    status, (line,) = outcome(second)
    assert status == USAGE
    assert str(first.control_socket) in line
    assert "another peerway answers" in line
    assert first.get("/v1/status")["http_status"] == 200
    assert state_of(namespace) == before
    second.close()


def test_second_daemon_in_a_namespace(wg: WireGuard, namespace: Namespace, daemon: DaemonMaker) -> None:
    """A second daemon with the same state directory says that one runs, and exits with 2; the first goes on."""
    first = daemon(namespace)
    before = state_of(namespace)
    second = Daemon(namespace, {"daemon": {"state_directory": str(first.home / "state")}}).start(wait=False)
    status, (line,) = outcome(second)
    assert (status, "another peerway runs in this network namespace" in line) == (USAGE, True)
    assert state_of(namespace) == before
    first.request("POST", "/v1/sync")
    second.close()


@pytest.mark.parametrize("setting", ["control_socket", "state_directory"])
def test_a_file_in_the_way(wg: WireGuard, namespace: Namespace, tmp_path: Path, setting: str) -> None:
    """A file where the socket or the directory should be is named with the setting that moves it; exit code 2."""
    file = tmp_path / "file"
    file.write_text("precious")
    before = state_of(namespace)
    refused = Daemon(namespace, {"daemon": {setting: str(file)}}).start(wait=False)
    status, (line,) = outcome(refused)
    assert status == USAGE
    assert str(file) in line
    assert f"daemon.{setting}" in line
    assert file.read_text() == "precious"
    assert state_of(namespace) == before
    refused.close()


def test_a_stale_socket_is_replaced(wg: WireGuard, namespace: Namespace, daemon: DaemonMaker, tmp_path: Path) -> None:
    """A socket that nobody listens at any more is no obstacle."""
    stale = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    running = Daemon(namespace, {"daemon": {"control_socket": str(stale)}})
    running.control_socket = stale
    with running:
        assert running.get("/v1/status")["http_status"] == 200


# ---- on the way ----


def test_a_broken_file_at_a_reload(wg: WireGuard, namespace: Namespace, daemon: DaemonMaker) -> None:
    """A reload of a broken file, by signal or request, is refused with its lines; the old settings stay."""
    wg.set_peer(str(KEY))
    running = daemon(namespace, {"interfaces": {"*": {"tables": [100]}}})
    running.config_path.write_text("interfaces: {'*': {tables: [nosuch]}}")
    answer = running.request("POST", "/v1/reload")
    assert answer["http_status"] == 400
    assert "nosuch" in answer["error"]
    running.reload()
    running.settle(lambda: running.log().count("ERROR") == 1, what="a word about it in the log")
    gateway = ("via", "inet6", GATEWAY, "dev", wg.name)
    namespace.ip("route", "add", "10.8.0.0/24", *gateway)
    namespace.ip("route", "add", NET, *gateway, "table", "100")
    running.settle(lambda: NET in wg.allowed_ips()[str(KEY)], what="the AllowedIP by table 100")
    assert "10.8.0.0/24" not in wg.allowed_ips()[str(KEY)]
    assert no_traceback(running)


def test_a_device_vanishes_in_the_middle(
    wg: WireGuard, namespace: Namespace, daemon: DaemonMaker, tmp_path: Path
) -> None:
    """A device that goes while thousands are given is told in a line at most; the daemon and other devices live on."""
    wg.set_peer(str(KEY), allowed_ips=["10.1.0.0/16"])
    running = daemon(namespace)
    dice, said = random.Random(7), 0
    nets = [f"10.{64 + (number >> 8)}.{number & 255}.0/24" for number in range(4000)]
    for _ in range(ROUNDS):
        other = wireguard.create(namespace, listen_port=51999)
        other.set_peer(str(KEY))
        running.settle(lambda: len(running.get("/v1/status")["interfaces"]) == 2, what="the device to be seen")
        (tmp_path / "batch").write_text(
            "\n".join(f"route add {net} via inet6 {GATEWAY} dev {other.name}" for net in nets) + "\n"
        )
        batch = namespace.popen("ip", "-force", "-batch", str(tmp_path / "batch"))
        time.sleep(dice.uniform(0, 0.3))
        other.delete()
        batch.wait()
        running.settle(lambda: len(running.get("/v1/status")["interfaces"]) == 1, what="the device to be forgotten")
        trouble = [line for line in running.log().splitlines() if not line.startswith("INFO")]
        assert len(trouble) - said <= 1, trouble[said:]
        said = len(trouble)
    running.request("POST", "/v1/sync")
    assert running.running()
    assert no_traceback(running)
    assert wg.allowed_ips() == {str(KEY): {"10.1.0.0/16", f"{GATEWAY}/128"}}
    assert running.request("POST", "/v1/verify")["differences"] == []
    assert len(list((running.home / "state").glob("*.ledger"))) == 1


def test_a_foreign_userspace_device_is_left_alone(
    namespace: Namespace, namespaces: Callable[[str], Namespace], daemon: DaemonMaker
) -> None:
    """A socket in /run that belongs to another namespace is no device here, also where a link has the same name."""
    need_program("wireguard-go", "wireguard-go")
    if not Path("/dev/net/tun").exists():
        subprocess.run(["modprobe", "tun"], check=True)
    far = wireguard.create(namespaces("far"), userspace=True)
    far.set_peer(str(KEY))
    before = far.allowed_ips()
    namespace.batch([f"tuntap add {far.name} mode tun", f"link set {far.name} up"])
    namespace.ip("address", "add", "fe80::9/64", "dev", far.name)
    running = daemon(namespace)
    namespace.ip("route", "add", NET, "via", "inet6", GATEWAY, "dev", far.name)
    running.request("POST", "/v1/sync")
    assert running.get("/v1/status")["interfaces"] == []
    assert far.allowed_ips() == before
    assert not [line for line in running.log().splitlines() if not line.startswith("INFO")]
