"""What the daemon can still do once it runs, as whom it can run, and how it gets along with systemd."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from peerway import config, daemon
from peerway.backends.privileges import CAP_DAC_OVERRIDE, CAP_NET_ADMIN, CAP_NET_RAW, keep
from peerway.control import bell
from peerway.daemon import AT_START
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon
from tests.harness.user import NOBODY, open_home

KEY = PublicKey(bytes([1]) * 32)
GATEWAY = px.address_text(derived_address(px.parse("fe80::/64"), KEY))
NET = "10.9.0.0/24"
PR_SET_KEEPCAPS = 8
Start = Callable[..., Daemon]


@pytest.fixture
def start(namespace: Namespace) -> Iterator[Start]:
    """Start daemons in `namespace`, prepared as the test says; they are killed at the end."""
    importlib.import_module("peerway.control.server")  # nobody may be unable to read where Python is installed
    with ExitStack() as stack:

        def started(*, wait: bool = True, owner: int = 0, **how: object) -> Daemon:
            daemon = Daemon(namespace, **how)  # type: ignore[arg-type]
            stack.callback(daemon.close)
            open_home(daemon.home)
            (daemon.home / "state").mkdir(mode=0o700)
            for directory in (daemon.home, daemon.home / "state"):
                os.chown(directory, owner, owner)
            daemon.config_path.chmod(0o644)
            return daemon.start(wait=wait)

        yield started


def be_nobody(*capabilities: int) -> Callable[[], None]:
    """Become a user of its own with these capabilities alone, as systemd does by User and AmbientCapabilities."""

    def become() -> None:
        importlib.import_module("concurrent.futures.thread")  # what is loaded later, nobody may be unable to read
        bell._load()
        vars(daemon)["read"] = lambda file: config.load(file).resolved()  # nobody may be unable to start Python
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(PR_SET_KEEPCAPS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
        os.setresuid(NOBODY, NOBODY, NOBODY)
        keep(capabilities)

    return become


def status(pid: int) -> dict[str, str]:
    """What the kernel tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def capabilities(pid: int) -> set[int]:
    """The capabilities that a process can use, now or later."""
    sets = status(pid)
    assert sets["CapEff"] == sets["CapPrm"]
    assert {sets["CapInh"], sets["CapAmb"]} == {"0" * 16}
    return {number for number in range(64) if int(sets["CapPrm"], 16) >> number & 1}


def follows(daemon: Daemon, namespace: Namespace, wg: WireGuard) -> None:
    """Assert that the main job is done."""
    namespace.ip("route", "add", NET, "via", "inet6", GATEWAY, "dev", wg.name)
    daemon.settle(lambda: NET in wg.allowed_ips()[str(KEY)], what="the AllowedIP of the route")
    assert daemon.request("POST", "/v1/verify")["differences"] == []


def test_root_gives_up_all_but_networks(wg: WireGuard, namespace: Namespace, start: Start) -> None:
    """Started as root, the daemon keeps CAP_NET_ADMIN alone, for good, and does its job; every thread is like that."""
    wg.set_peer(str(KEY))
    running = start()
    assert capabilities(running.pid) == {CAP_NET_ADMIN}
    found = status(running.pid)
    assert found["NoNewPrivs"] == "1"
    assert not int(found["CapBnd"], 16) & ~sum(1 << number for number in AT_START)
    follows(running, namespace, wg)
    for task in Path(f"/proc/{running.pid}/task").iterdir():
        assert f"CapEff:\t{1 << CAP_NET_ADMIN:016x}" in (task / "status").read_text()


def test_an_own_user_with_the_capability_is_enough(wg: WireGuard, namespace: Namespace, start: Start) -> None:
    """Nobody with the capabilities of the shipped unit does the job; CAP_NET_RAW is gone when the daemon is ready."""
    wg.set_peer(str(KEY))
    override = {CAP_DAC_OVERRIDE} if wg.userspace else set[int]()
    running = start(owner=NOBODY, before=be_nobody(CAP_NET_ADMIN, CAP_NET_RAW, *override))
    assert status(running.pid)["Uid"].split() == [str(NOBODY)] * 4
    assert capabilities(running.pid) == {CAP_NET_ADMIN} | override
    follows(running, namespace, wg)
    assert {file.stat().st_uid for file in (running.home / "state").iterdir()} == {NOBODY}
    assert running.control_socket.stat().st_uid == NOBODY


def test_root_does_not_work_in_a_directory_of_somebody_else(namespace: Namespace, start: Start) -> None:
    """A state directory of the unit's user is no place for root, who overrides no permissions: exit 4."""
    running = start(wait=False, owner=NOBODY)
    assert os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1]) == 4
    running.pid = 0
    assert f"permission denied: [Errno 13] Permission denied: '{running.home}/state" in running.log()


def test_a_userspace_device_out_of_reach_is_told(wg: WireGuard, namespace: Namespace, start: Start) -> None:
    """A device that permissions keep out of reach is told with the cure, and nothing else fails."""
    if not wg.userspace:
        pytest.skip("the kernel's own devices need no file")
    running = start(wait=False, owner=NOBODY, before=be_nobody(CAP_NET_ADMIN))
    running.settle(lambda: "CAP_DAC_OVERRIDE" in running.log(), what="the cure in the log")
    assert wg.name in running.log()
    assert running.running()


def test_without_any_capability_it_does_not_start(namespace: Namespace, start: Start) -> None:
    """The exit code is 4, and the sentence names what is missing."""
    running = start(wait=False, before=be_nobody())
    assert os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1]) == 4
    running.pid = 0
    assert "permission denied: peerway needs CAP_NET_ADMIN" in running.log()


def test_a_namespace_has_one_daemon(wg: WireGuard, namespace: Namespace, start: Start) -> None:
    """A second one with places of its own refuses to start and names the first; when that is gone it starts."""
    first = start()
    second = start(wait=False)
    assert os.waitstatus_to_exitcode(os.waitpid(second.pid, 0)[1]) == 2
    second.pid = 0
    assert f"another peerway (pid {first.pid}, uid 0) runs in this network namespace" in second.log()
    assert first.request("POST", "/v1/verify")["http_status"] == 200
    first.kill()
    assert second.start().get("/v1/status")["http_status"] == 200


def test_namespaces_have_a_daemon_each(namespaces: Callable[[str], Namespace]) -> None:
    """Daemons of different namespaces do not see each other."""
    with Daemon(namespaces("one")) as one, Daemon(namespaces("two")) as two:
        assert [daemon.get("/v1/status")["http_status"] for daemon in (one, two)] == [200, 200]


def test_somebody_without_rights_cannot_keep_it_from_starting(namespace: Namespace, start: Start) -> None:
    """A user who takes the name that daemons meet by is told of in the log, and ignored."""
    readable, writable = os.pipe()
    squatter = os.fork()
    if squatter == 0:
        with namespace.enter():
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with socket.socket(socket.AF_UNIX) as name:
                name.bind("\0peerway")
                name.listen()
                os.write(writable, b"x")
                signal.pause()  # until it is killed
        os._exit(0)
    try:
        os.read(readable, 1)
        running = start()
        assert "an unprivileged program pretends" in running.log()
    finally:
        os.kill(squatter, signal.SIGKILL)
        os.waitpid(squatter, 0)


def test_systemd_is_told_of_a_life(wg: WireGuard, namespace: Namespace, start: Start, tmp_path: Path) -> None:
    """Ready, signs of life though nothing happens, a reload with its time, and the stop; none while it is stopped."""
    wg.set_peer(str(KEY))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(20)
        systemd.bind(str(tmp_path / "notify"))

        def before() -> None:
            os.environ |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}

        def heard(what: bytes) -> bytes:
            while (message := systemd.recv(100)) == b"WATCHDOG=1" != what:
                pass
            return message

        running = start(before=before)
        assert systemd.recv(100) == b"READY=1"
        assert heard(b"WATCHDOG=1") == heard(b"WATCHDOG=1") == b"WATCHDOG=1"
        running.reload()
        assert heard(b"RELOADING=1").startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert heard(b"READY=1") == b"READY=1"
        running.stop()
        assert heard(b"STOPPING=1") == b"STOPPING=1"


def test_a_socket_of_systemd_outlives_the_daemon(
    wg: WireGuard, namespace: Namespace, start: Start, tmp_path: Path
) -> None:
    """Who asks while no daemon runs is answered by the next one; the socket's file stays, also at a clean stop."""
    wg.set_peer(str(KEY))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as early:
        listener.bind(str(tmp_path / "control"))
        listener.listen()

        def before() -> None:
            os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "control"}

        early.settimeout(20)
        early.connect(str(tmp_path / "control"))
        early.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
        running = start(wait=False, before=before, inherit=listener.fileno())
        running.control_socket = tmp_path / "control"
        assert early.recv(100).startswith(b"HTTP/1.0 200")
        for end in (running.kill, running.stop):
            end()
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(tmp_path / "control"))
                client.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
                running.start(wait=False)
                assert client.recv(100).startswith(b"HTTP/1.0 200")
        assert not (running.home / "control.sock").exists()
