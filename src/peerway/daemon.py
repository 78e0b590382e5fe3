"""The daemon: puts backends, engine and control socket together, and runs until a signal.

Exit codes: 0 stopped, 2 wrong configuration or another daemon, 4 no privilege (DESIGN section 7).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Container
from contextlib import ExitStack, suppress
from pathlib import Path

from peerway.backends import malloc, privileges
from peerway.backends.devices import WireguardDevices
from peerway.backends.ledgerstore import LedgerFiles, place
from peerway.backends.names import Names
from peerway.backends.nlmon import NlmonTap
from peerway.backends.rtnetlink import Rtnetlink
from peerway.backends.sole import Sole
from peerway.backends.systemd import Watchdog, listening_socket, notify
from peerway.config_errors import ConfigError
from peerway.config_reader import read
from peerway.control.access import Access
from peerway.control.api import UnusableError
from peerway.control.bell import serve
from peerway.control.listener import SocketTakenError
from peerway.engine import Engine
from peerway.loop import Loop
from peerway.model.events import Event
from peerway.model.ports import DeviceTap
from peerway.model.world import World
from peerway.records import Records
from peerway.service import Bulletin, Service
from peerway.settings import Settings
from peerway.waiting import Waiting
from peerway.watcher import Watcher

log = logging.getLogger("peerway")

EXIT_USAGE, EXIT_PRIVILEGE = 2, 4
AT_START = frozenset({privileges.CAP_NET_ADMIN, privileges.CAP_NET_RAW, privileges.CAP_CHOWN})
ROUND_RETRY = 1.0  # seconds


def main(config_file: Path | None = None) -> int:
    """
    Run in the foreground until SIGTERM or SIGINT. Returns the exit code.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr, force=True)
    try:
        config = read(config_file)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - all errors, one a line, for the person at the terminal
        return EXIT_USAGE
    if not privileges.has(privileges.CAP_NET_ADMIN):
        log.error(
            "permission denied: peerway needs CAP_NET_ADMIN to change routes and WireGuard; run it as root or by its "
            "systemd unit"
        )
        return EXIT_PRIVILEGE
    try:
        _keep(AT_START | _override())
        malloc.be_frugal()
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(Daemon(config, config_file).run())
    except SocketTakenError as error:
        log.error("%s", error)  # noqa: TRY400 - one clear line, no traceback
        return EXIT_USAGE
    except PermissionError as error:
        cure = "give it to the user that peerway runs as, or run peerway as root or by its systemd unit"
        log.error("permission denied: %s; %s", error, cure)  # noqa: TRY400 - as above
        return EXIT_PRIVILEGE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        log.error("cannot run: %s%s", where, error.strerror or error)  # noqa: TRY400 - as above
        return EXIT_USAGE


def _keep(capabilities: frozenset[int]) -> None:
    try:
        privileges.keep(capabilities)
    except OSError as error:  # a sandbox that forbids to ask for less
        log.warning("cannot give up what is not needed: %s", error)


def _override() -> frozenset[int]:
    """To reach userspace devices of root's as another user; root reaches its own without."""
    return frozenset({privileges.CAP_DAC_OVERRIDE} if os.geteuid() else ())


class Daemon:
    """
    All parts of one running peerway.
    """

    def __init__(self, config: Settings, config_file: Path | None) -> None:
        self.config, self.config_file = config, config_file
        self.stopping = asyncio.Event()
        self._one_reload = asyncio.Lock()
        self.bulletin = Bulletin()

    async def run(self) -> int:
        """
        Open everything, tell systemd, work until told to stop. Raises OSError and SocketTakenError.
        """
        with ExitStack() as stack:
            store = LedgerFiles(self.config.daemon.state_directory)
            stack.callback(store.close)
            here = place()
            if not store.lock(here):
                log.error(
                    "another peerway runs in this network namespace with %s; stop it first, or set "
                    "daemon.state_directory",
                    self.config.daemon.state_directory,
                )
                return EXIT_USAGE
            if not self._is_sole(stack):
                return EXIT_USAGE
            self._build(stack, Records(store, here))
            settings = self.config.daemon
            inherited = listening_socket()
            access = Access.of(settings.read_group, settings.admin_group)
            async with serve(self.service, settings.control_socket, access, inherited=inherited):
                _keep(frozenset({privileges.CAP_NET_ADMIN}) | _override())
                await self._work()
        return 0

    def _is_sole(self, stack: ExitStack) -> bool:
        sole = Sole()
        stack.callback(sole.close)
        if sole.held_by_a_daemon:
            pid, uid = sole.holder or (0, 0)
            log.error("another peerway (pid %d, uid %d) runs in this network namespace; stop it first", pid, uid)
            return False
        if not sole.taken:
            log.warning("an unprivileged program pretends to be the peerway of this network namespace: %s", sole.holder)
        return True

    def _build(self, stack: ExitStack, records: Records) -> None:
        table = Rtnetlink()
        stack.callback(table.close)
        devices = WireguardDevices()
        tap = self._tap(devices)
        if tap is not None:
            stack.callback(tap.close)
        world = World()
        watcher = Watcher(
            world,
            table,
            devices,
            tap,
            policies=self.config.policy,
            publish=self._publish,
            clock=time.monotonic,
            poll_interval=self.config.daemon.poll_interval,
        )
        self.engine = Engine(world, table, watcher, records, publish=self._publish, clock=time.monotonic)
        self.engine.trim = malloc.trim
        self.engine.listen(lambda: self.bulletin.has_listeners)
        self.service = Service(self.engine, table, self.bulletin, Names.read(), self._reload)

    def _tap(self, devices: WireguardDevices) -> DeviceTap | None:
        try:
            return NlmonTap(devices.mark)
        except OSError as error:
            log.info("no nlmon tap (%s): changes of other programs are found by polling", error.strerror or error)
            return None

    def _publish(self, event: Event) -> None:
        self.engine.council.hear(event)
        self.bulletin.publish(event)

    async def _reload(self) -> None:
        async with self._one_reload:  # the last who asks has the last word
            try:
                config = await asyncio.to_thread(read, self.config_file)
            except ConfigError as error:
                raise UnusableError(f"the old settings stay:\n{error}") from None
            self.config = config
        self.engine.watcher.set_policies(config.policy, config.daemon.poll_interval)
        log.info("configuration read again")

    def _hangup(self) -> None:
        self._hanging_up = asyncio.get_running_loop().create_task(self._hang_up())

    async def _hang_up(self) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            await self._reload()
        except UnusableError as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence says all
        self.engine.wake()
        gc.freeze()  # what is here now stays: not looked at again while a change waits
        notify("READY=1")

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._hangup)
        engine, waiting = self.engine, Waiting()
        engine.wake = waiting.wake
        await self._round(engine)
        if not engine.world.interfaces:
            log.info("no WireGuard interface yet; waiting for one")
        gc.freeze()  # what is here now stays: not looked at again while a change waits
        notify("READY=1")
        watchdog = Watchdog(time.monotonic())
        while not self.stopping.is_set():
            if engine.watcher.moved:
                waiting.watch(engine.watcher.descriptors())
            news = await waiting.until(min(engine.deadline, watchdog.deadline))
            await self._round(engine, news)
            watchdog.alive(time.monotonic())
        waiting.close()
        notify("STOPPING=1")
        await engine.stop()

    async def _round(self, engine: Engine, news: Container[int] | None = None) -> None:
        try:
            await engine.step(news)
        except OSError as error:  # the kernel did not answer as it should: what is held may be old
            log.error("everything is read again in a second: %s", error)  # noqa: TRY400 - the sentence says all
            engine.watcher.look_again()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND_RETRY):
                    await self.stopping.wait()

    def _stop(self) -> None:
        self.stopping.set()
        self.engine.wake()
