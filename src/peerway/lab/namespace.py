"""Network namespaces as context managers: made, used, and taken away with everything that was started in them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from typing_extensions import override

from peerway.lab import netns

PREFIX: Final = "pw"
GRACE: Final = 2.0  # seconds that a process has between SIGTERM and SIGKILL
_counter = itertools.count(1)


class CommandError(RuntimeError):
    """
    A command that was run in a namespace failed; the text holds its command line and what it printed.
    """


class Namespace:
    """
    A network namespace of our own, named pw-PID-N-LABEL, with `lo` up. It exists between `create` and `delete`, or
    inside a `with`. Everything started in it ends with it.
    """

    def __init__(self, label: str = "lab", *, name: str | None = None) -> None:
        """
        Choose the name only: `name` if given, which must then be unique by itself.
        """
        self.label = label
        self.name = name or f"{PREFIX}-{os.getpid()}-{next(_counter)}-{label}"
        self.path: Path = netns.path_of(self.name)
        self._processes: list[subprocess.Popen[bytes]] = []

    @override
    def __repr__(self) -> str:
        return f"Namespace({self.name})"

    def __enter__(self) -> Self:
        return self.create()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.delete()

    def create(self) -> Self:
        """
        Make the namespace. Raises OSError: EPERM without root, EEXIST for a name that is taken.
        """
        netns.create(self.name)
        try:
            # No duplicate address detection: addresses are usable at once, and a lab has no duplicates.
            for which in ("all", "default"):
                self.sysctl(f"net/ipv6/conf/{which}/accept_dad", 0)
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.delete()
            raise
        return self

    def delete(self) -> None:
        """
        End every process in the namespace, ours first and gently, and remove it. Doing it twice is fine.
        """
        for process in reversed(self._processes):
            end(process)
        self._processes.clear()
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal_members(number)
        netns.remove(self.name)

    def _signal_members(self, number: signal.Signals) -> None:
        """
        Signal whatever else is in the namespace (what forked away, or a killed program left), and wait for its end.
        """
        deadline = time.monotonic() + GRACE
        told = set[int]()
        while (members := netns.members(self.name)) and time.monotonic() < deadline:
            for pid in set(members) - told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told |= set(members)
            time.sleep(0.01)

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """
        The calling thread is in the namespace inside this `with`: sockets opened there belong to it for good.
        """
        with netns.entered(self.path):
            yield

    def run(self, *argv: str, check: bool = True, input: str | None = None) -> str:  # noqa: A002 - subprocess.run's name
        """
        Run a command and return its standard output. Raises CommandError if it fails and `check` is set.
        """
        stdin = None if input is not None else subprocess.DEVNULL
        with self.enter():
            done = subprocess.run(argv, check=False, input=input, stdin=stdin, capture_output=True, text=True)  # noqa: S603 - a lab runs commands
        if check and done.returncode != 0:
            told = (done.stderr.strip() or done.stdout.strip() or "it printed nothing")[-2000:]
            raise CommandError(f"in {self.name}: `{' '.join(argv)}` ended with status {done.returncode}: {told}")
        return done.stdout

    def succeeds(self, *argv: str) -> bool:
        """
        Whether a command ends with status 0.
        """
        with self.enter():
            return subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0  # noqa: S603 - a lab runs commands

    def popen(
        self, *argv: str, stdout: int | IO[bytes] = subprocess.DEVNULL, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """
        Start a command in the background; standard error goes where standard output goes, `env` is added to ours.
        It ends with the namespace.
        """
        with self.enter():
            process = subprocess.Popen(  # noqa: S603 - a lab runs commands
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # an interrupt from the keyboard is for us, we end the others in order
            )
        self._processes.append(process)
        return process

    def ip(self, *args: str) -> str:
        """
        Run iproute2 with these words and return what it prints.
        """
        return self.run("ip", *args)

    def batch(self, lines: Iterable[str], *, family: str = "") -> None:
        """
        Run many ip(8) commands, without the leading `ip`, in one process; `family` is "-4", "-6" or nothing.
        """
        self.run("ip", *([family] if family else []), "-batch", "-", input="\n".join(lines) + "\n")

    def sysctl(self, key: str, value: int | str) -> None:
        """
        Write /proc/sys/KEY as this namespace sees it, as in `net/ipv4/ip_forward`.
        """
        with self.enter():
            Path("/proc/sys", key).write_text(f"{value}\n")


def link(
    left: Namespace,
    right: Namespace,
    left_addresses: Sequence[str] = (),
    right_addresses: Sequence[str] = (),
    *,
    names: tuple[str, str] | None = None,
) -> tuple[str, str]:
    """
    Join two namespaces with a veth pair that is up and has these addresses (with length, as in 192.0.2.1/24).
    Returns the names of its ends, `to-LABEL` of the other side if none are given.
    """
    near, far = names or (f"to-{right.label}"[:15], f"to-{left.label}"[:15])
    left.ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", right.name)
    for side, device, addresses in ((left, near, left_addresses), (right, far, right_addresses)):
        side.batch([*(f"address add {address} dev {device}" for address in addresses), f"link set {device} up"])
    return near, far


def end(process: subprocess.Popen[bytes]) -> None:
    """
    Ask a process to end, wait, and kill it if it does not; it is reaped afterwards.
    """
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def sweep() -> list[str]:
    """
    Remove namespaces that a killed process of ours left behind, with what runs in them; returns their names.
    """
    swept = []
    for path in sorted(netns.DIRECTORY.glob(f"{PREFIX}-*")):
        match = re.fullmatch(rf"{PREFIX}-(\d+)-\d+-.*", path.name)
        if match and not Path("/proc", match[1]).exists():
            Namespace(name=path.name).delete()
            swept.append(path.name)
    return swept
