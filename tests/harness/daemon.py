"""The real daemon beside the test: forked from the test process, in a namespace, with its own config and state.

Forking saves the start of an interpreter and its imports, which take seconds on an emulated machine. The child drops
what it inherited (pytest's captured output, signal handlers, the event loop) before the daemon's main runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from peerway import config
from peerway.lab import netns
from peerway.lab.namespace import Namespace
from peerway.settings import Settings
from tests.harness.waiting import TIMEOUT, settle

T = TypeVar("T")
Json = dict[str, Any]
TOLD = (
    "wg show all allowed-ips",
    "ip -4 route show table all",
    "ip -6 route show table all",
    "ip nexthop",
    "ip -br address",
)
GUEST = "IN_GUEST" in os.environ


def read_here(file: Path | None) -> Settings:
    """
    The configuration, read in the daemon's own process.
    """
    return config.load(file).resolved()


class Daemon:
    """
    One peerway in one namespace. `config` holds sections of its file, as in {"interfaces": {"*": {...}}}; socket and
    state directory are private, and stay over restarts of this object. A `with` starts it and kills it at the end.
    """

    def __init__(
        self,
        namespace: Namespace,
        config: Mapping[str, Any] | None = None,
        before: Callable[[], None] | None = None,
        *,
        inherit: int | None = None,
    ) -> None:
        """
        Write the configuration; nothing is started. `before` is called in the new process and in the namespace, before
        the daemon's main, which finds the descriptor `inherit` as its third.
        """
        self._before, self._inherit = before, inherit
        self.namespace = namespace
        self._home = tempfile.TemporaryDirectory(prefix="peerway-")
        self.home = Path(self._home.name)
        self.config_path = self.home / "peerway.yaml"
        self.log_path = self.home / "log"
        self.control_socket = self.home / "control.sock"
        self.pid = 0
        self.configure(config or {})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def configure(self, config: Mapping[str, Any]) -> None:
        """
        Write the configuration file anew; the daemon reads it at a start or at SIGHUP. JSON is YAML.
        """
        ours = {"control_socket": str(self.control_socket), "state_directory": str(self.home / "state")}
        daemon = {**ours, **config.get("daemon", {})}
        self.config_path.write_text(json.dumps({**config, "daemon": daemon}, indent=2))

    def start(self, *, wait: bool = True) -> Self:
        """
        Fork, and wait until the control socket answers.
        """
        assert not self.pid, "this daemon runs already"
        (self.home / "state").mkdir(exist_ok=True)
        importlib.import_module("peerway.control.server")  # before the fork: paid once for all tests
        daemon = importlib.import_module("peerway.daemon")
        self.pid = os.fork()
        if self.pid == 0:
            self._be_the_daemon(daemon.main)
        if wait:
            self.settle(self._answers, what="an answer on the control socket")
            self.request("POST", "/v1/sync")  # what a test does next, it does to a daemon that has seen all
        return self

    def kill(self) -> None:
        """
        SIGKILL, at whatever instant this is; returns when it is gone.
        """
        self._end(signal.SIGKILL)

    def stop(self, timeout: float = TIMEOUT) -> int:
        """
        SIGTERM, a clean stop; returns the exit status, negative for a signal.
        """
        return self._end(signal.SIGTERM, timeout)

    def reload(self) -> None:
        """
        SIGHUP: the daemon reads its configuration again.
        """
        os.kill(self.pid, signal.SIGHUP)

    def close(self) -> None:
        """
        Kill it if it runs, and remove its files.
        """
        if self.pid:
            self.kill()
        self._home.cleanup()

    def running(self) -> bool:
        """
        Whether the process is there; one that ended by itself is reaped.
        """
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = 0
        return bool(self.pid)

    def log(self) -> str:
        """
        All that it wrote to standard output and error so far.
        """
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def get(self, path: str, **query: str) -> Json:
        """
        Ask the control socket, as `curl --unix-socket` would. Raises OSError if nobody answers.
        """
        return self.request("GET", path, query)

    def request(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None) -> Json:
        """
        One HTTP request on the control socket; the answer is JSON, with "http_status" added.
        """
        words = "&".join(f"{key}={value}" for key, value in (query or {}).items())
        payload = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path}{'?' + words if words else ''} HTTP/1.0\r\nHost: peerway\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n" if body is not None else ""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT)
            client.connect(str(self.control_socket))
            client.sendall(head.encode() + b"\r\n" + payload)
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
        first, _, rest = answer.partition(b"\r\n")
        text = rest.partition(b"\r\n\r\n")[2]
        return {**(json.loads(text) if text else {}), "http_status": int(first.split()[1])}

    def settle(self, predicate: Callable[[], T], timeout: float = TIMEOUT, *, what: str = "") -> T:
        """
        Wait until `predicate` gives something true. Fails with the daemon's log, the routes and the AllowedIPs.
        """
        return settle(predicate, timeout, what=what, tell=self.tell)

    def tell(self) -> str:
        """
        The state of things, for the reader of a failed test.
        """
        parts = [f"--- daemon: {'running' if self.running() else 'not running'}; end of its log:\n{self.log()[-6000:]}"]
        parts += [f"--- {command}\n{self.namespace.run(*command.split(), check=False)[-3000:]}" for command in TOLD]
        return "\n".join(parts)

    def _answers(self) -> bool:
        assert self.running(), "the daemon ended by itself"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.control_socket))
            return True
        return False

    def _end(self, number: signal.Signals, timeout: float = TIMEOUT) -> int:
        assert self.pid, "this daemon does not run"
        os.kill(self.pid, number)
        deadline = time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                told = self.tell()
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.pid = 0
                raise AssertionError(f"the daemon did not end within {timeout:g} s of {number.name}\n{told}")
            time.sleep(0.005)

    def _be_the_daemon(self, main: Callable[[Path | None], int]) -> NoReturn:
        """In the child: nothing of the test may run here, neither its cleanup nor its output."""
        status = 70
        try:
            gc.freeze()  # what the test left must not be finalised here: it may close descriptors that are ours by then
            os.setsid()
            log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if self._inherit is not None:
                os.dup2(self._inherit, 3)
            os.closerange(
                3 if self._inherit is None else 4, 4096
            )  # sockets of the test, among them other daemons' and its netlink ones
            sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the child's life
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - for the child's life
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - for the child's life
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            faulthandler.enable(2)
            logging.root.handlers.clear()  # pytest's, which keep what they hear
            logging.root.setLevel(logging.WARNING)
            asyncio.set_event_loop(None)
            asyncio.events._set_running_loop(None)  # the fork may have come from inside a running loop
            stay = contextlib.ExitStack()  # the daemon gives up the right to leave it again
            stay.enter_context(netns.entered(self.namespace.path))
            if GUEST:  # a process of its own for that takes 3 s there; the host's tests have it
                vars(importlib.import_module("peerway.daemon"))["read"] = read_here
            if self._before is not None:
                self._before()
            status = main(self.config_path)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:  # noqa: BLE001 - whatever it is, it goes into the log and no further
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
