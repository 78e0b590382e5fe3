"""The daemon around an engine in memory: exit codes, systemd's messages, reload, and what a failed round leaves."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Container, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from typing_extensions import override

from peerway import daemon
from peerway.backends import privileges
from peerway.backends.devices import WireguardDevices
from peerway.backends.ledgerstore import LedgerFiles, place
from peerway.backends.names import Names
from peerway.backends.sole import Sole
from peerway.config_reader import read
from peerway.control.api import UnusableError
from peerway.control.listener import SocketTakenError
from peerway.daemon import EXIT_PRIVILEGE, EXIT_USAGE, Daemon, main
from peerway.model import prefix as px
from peerway.model.events import Event, PeerAdded
from peerway.model.policy import OnStop, Policy
from peerway.model.ports import Change, Gap
from peerway.records import Records
from peerway.service import Service
from peerway.settings import Settings
from tests.harness.site import Site, key, via

A, NET = key(1), px.parse("10.9.0.0/24")


class MemoryDaemon(Daemon):
    """A daemon whose kernel is a site in memory; a pipe wakes it as notifications would."""

    def __init__(self, config: Settings, config_file: Path | None = None, policy: Policy | None = None) -> None:
        super().__init__(config, config_file)
        self.site = Site(policy=policy)
        self.site.now = time.monotonic()
        self.readable, self.writable = os.pipe2(os.O_NONBLOCK)

    @override
    def _build(self, stack: ExitStack, records: Records) -> None:
        stack.callback(os.close, self.readable)
        stack.callback(os.close, self.writable)
        read_changes = self.site.table.read_changes

        def drained() -> list[Change | Gap]:
            with suppress(BlockingIOError):
                os.read(self.readable, 100)
            return read_changes()

        self.site.table.fileno = lambda: self.readable  # type: ignore[method-assign]
        self.site.table.read_changes = drained  # type: ignore[method-assign]
        self.engine = self.site.engine
        self.service = Service(self.engine, self.site.table, self.bulletin, Names(), self._reload)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[frozenset[int]]:
    """The test's own process keeps its privileges, and its namespace has room for the daemons of many tests."""
    told: list[frozenset[int]] = []
    monkeypatch.setattr(privileges, "keep", told.append)
    monkeypatch.setattr(daemon, "Sole", lambda: Sole(f"\0{tmp_path}"))
    return told


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with a state directory and a control socket of the test's own."""
    file = tmp_path / "peerway.yaml"
    write(file)
    return file


def write(file: Path, more: str = "") -> None:
    here = file.parent
    file.write_text(f"daemon:\n  state_directory: {here}/state\n  control_socket: {here}/control.sock\n{more}")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket at which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
        channel.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield channel


# exit codes


def test_a_wrong_configuration_is_told_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All errors are on stderr, one a line with its place, and the exit code is 2."""
    file = tmp_path / "peerway.yaml"
    file.write_text("interfaces:\n  wg0:\n    metric: 0\n    colour: blue\n    pinned: perhaps\n")
    assert main(file) == EXIT_USAGE == 2
    told = capsys.readouterr()
    assert told.out == ""
    lines = [line for line in told.err.splitlines() if line.startswith(str(file))]
    assert [line.split(":")[1] for line in lines] == ["3", "4", "5"]
    assert all(word in told.err for word in ("metric", "colour", "pinned"))


def test_a_configuration_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was named must exist."""
    assert main(tmp_path / "none.yaml") == EXIT_USAGE
    assert f"{tmp_path}/none.yaml" in capsys.readouterr().err


def test_without_the_privilege_nothing_is_touched(
    config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 4, and the sentence names the capability and the cure."""
    monkeypatch.setattr(privileges, "has", lambda _: False)
    assert main(config) == EXIT_PRIVILEGE == 4
    err = capfd.readouterr().err
    assert "peerway needs CAP_NET_ADMIN" in err
    assert "systemd unit" in err
    assert not (config.parent / "state").exists()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SocketTakenError("another program listens at this socket"), EXIT_USAGE),
        (PermissionError(errno.EPERM, "Operation not permitted"), EXIT_PRIVILEGE),
    ],
)
def test_failures_at_the_start_are_one_line(
    failure: Exception, code: int, config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A taken socket is 2, a missing permission 4; each is told in a line and without a traceback."""

    async def fail(_: Daemon) -> int:
        raise failure

    monkeypatch.setattr(privileges, "has", lambda _: True)
    monkeypatch.setattr(Daemon, "run", fail)
    assert main(config) == code
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ERROR ")
    assert str(failure) in line


async def test_a_second_daemon_does_not_start(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the same state directory in the same namespace it ends with 2, and names the directory and the cure."""
    first = LedgerFiles(config.parent / "state")
    assert first.lock(place())
    assert await Daemon(read(config), config).run() == EXIT_USAGE
    assert f"another peerway runs in this network namespace with {config.parent}/state" in caplog.text
    assert "daemon.state_directory" in caplog.text
    assert not (config.parent / "control.sock").exists()
    first.close()


# reload


async def test_a_reload_takes_the_new_settings(config: Path) -> None:
    """Policies and the poll interval are those of the file as it is now."""
    running = MemoryDaemon(read(config), config)
    with ExitStack() as stack:
        running._build(stack, Records(running.site.store, "boot"))
        await running.site.settle()
        write(config, "  poll_interval: 9s\ninterfaces:\n  wg0: {max_prefixes: 5}\n")
        await running._reload()
        await running.site.settle()
    assert running.config.daemon.poll_interval == 9.0
    assert running.site.interface.policy.max_prefixes == 5


async def test_a_broken_reload_keeps_the_old_settings(config: Path) -> None:
    """What is wrong is in the error, and neither the settings nor the policies change."""
    running = MemoryDaemon(read(config), config)
    with ExitStack() as stack:
        running._build(stack, Records(running.site.store, "boot"))
        await running.site.settle()
        before, policy = running.config, running.site.interface.policy
        write(config, "interfaces:\n  wg0: {max_prefixes: many, colour: blue}\n")
        with pytest.raises(UnusableError, match=r"^the old settings stay:\n") as caught:
            await running._reload()
        await running.site.settle()
    assert all(word in str(caught.value) for word in (str(config), "max_prefixes", "colour"))
    assert running.config is before
    assert running.site.interface.policy is policy


@pytest.mark.parametrize("broken", [False, True])
async def test_a_hangup_reloads_and_says_so(
    broken: bool, config: Path, systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells systemd the beginning with its time and the end, also where the file is broken, and wakes the engine."""
    running, woken = MemoryDaemon(read(config), config), asyncio.Event()
    write(config, "interfaces:\n  wg0: {colour: blue}\n" if broken else "interfaces:\n  wg0: {max_prefixes: 5}\n")
    with ExitStack() as stack:
        running._build(stack, Records(running.site.store, "boot"))
        running.engine.wake = woken.set
        running._hangup()
        await running._hanging_up
    reloading, ready = systemd.recv(100), systemd.recv(100)
    assert reloading.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert reloading.rpartition(b"=")[2].isdigit()
    assert ready == b"READY=1"
    assert woken.is_set()
    assert ("the old settings stay" in caplog.text) is broken
    assert ("wg0" in running.config.interfaces) is not broken


# a life


async def test_a_second_daemon_of_the_namespace_leaves(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a state directory and a socket of its own it still finds the other one, and says who that is."""
    with ExitStack() as stack:
        stack.callback(Sole(f"\0{tmp_path}").close)
        assert await MemoryDaemon(read(config), config).run() == EXIT_USAGE
    assert f"another peerway (pid {os.getpid()}, uid {os.geteuid()}) runs in this network namespace" in caplog.text


async def test_signs_of_life_come_from_rounds(
    config: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds that end are told as often as systemd wants, also when nothing happens; one that hangs tells nothing."""
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    running = MemoryDaemon(read(config), config)
    hang = asyncio.Event()
    hear = asyncio.get_running_loop().sock_recv

    async def watching() -> None:
        assert [await hear(systemd, 100) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        step = running.engine.step

        async def hanging(news: Container[int] | None = None) -> None:
            await hang.wait()
            await step(news)

        monkeypatch.setattr(running.engine, "step", hanging)
        await asyncio.sleep(0.3)  # a round may have been on its way
        with suppress(BlockingIOError):
            while systemd.recv(100) == b"WATCHDOG=1":
                pass
        await asyncio.sleep(0.3)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        hang.set()
        assert await hear(systemd, 100) == b"WATCHDOG=1"
        os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.gather(running.run(), watching())


async def test_privileges_go_when_all_is_open(config: Path, kept: list[frozenset[int]]) -> None:
    """What is left at work is to change networks; raw sockets and giving files away are over."""
    running = MemoryDaemon(read(config), config)
    running.stopping.set()
    await running.run()
    (left,) = kept
    assert privileges.CAP_NET_ADMIN in left
    assert not left & {privileges.CAP_NET_RAW, privileges.CAP_CHOWN}
    assert (privileges.CAP_DAC_OVERRIDE in left) == bool(os.geteuid())


async def test_a_whole_life(config: Path, systemd: socket.socket) -> None:
    """It brings things in step, is ready, answers at its socket, follows changes, and stops at a signal."""
    running = MemoryDaemon(read(config), config, Policy(on_stop=OnStop.FLUSH))
    running.site.table.user_add(NET, via(A))
    seen: list[bytes] = []

    async def watching() -> None:
        seen.append(await asyncio.get_running_loop().sock_recv(systemd, 100))
        assert running.site.device.map[NET] == A  # ready means in step
        _, writer = await asyncio.open_unix_connection(str(config.parent / "control.sock"))
        writer.close()
        other = px.parse("10.10.0.0/16")
        running.site.table.user_add(other, via(A))
        os.write(running.writable, b"x")
        while other not in running.site.device.map:  # noqa: ASYNC110 - the device in memory tells nobody
            await asyncio.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    code, _ = await asyncio.gather(running.run(), watching())
    seen.append(systemd.recv(100))
    assert (code, seen) == (0, [b"READY=1", b"STOPPING=1"])
    assert running.site.device.map == {}  # on_stop: flush
    assert not (config.parent / "control.sock").exists()
    successor = LedgerFiles(config.parent / "state")
    assert successor.lock(place())
    successor.close()


async def test_a_failed_round_reads_everything_again(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the kernel does not answer, the daemon lives on and looks at everything anew."""
    running = MemoryDaemon(read(config), config)
    with ExitStack() as stack:
        running._build(stack, Records(running.site.store, "boot"))
        await running.site.settle()
        running.site.table.read_changes = fail  # type: ignore[method-assign]
        running.stopping.set()  # so that it does not wait for its second
        await running._round(running.engine)
        assert running.engine.watcher.restless
    assert "everything is read again in a second" in caplog.text
    assert "No buffer space" in caplog.text


def fail() -> list[Change | Gap]:
    raise OSError(errno.ENOBUFS, "No buffer space available")


async def test_an_event_reaches_listeners(config: Path) -> None:
    """What the watcher publishes is on the bulletin."""
    running = MemoryDaemon(read(config), config)
    with ExitStack() as stack:
        running._build(stack, Records(running.site.store, "boot"))
        heard: list[Event] = []
        running.bulletin.listen(heard.append)
        running._publish(PeerAdded("wg0", A))
        assert heard == [PeerAdded("wg0", A)]


def test_without_a_tap_it_polls(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A kernel without nlmon is no error: there is no tap, and the log says why."""

    def refuse(_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(daemon, "NlmonTap", refuse)
    devices = WireguardDevices.__new__(WireguardDevices)
    devices.mark = 1
    with caplog.at_level("INFO"):
        assert Daemon(Settings(), None)._tap(devices) is None
    assert "no nlmon tap (Operation not supported)" in caplog.text
