"""Who carries routes into AllowedIPs: the C floor or peerway, processes with stamps, started and ended in one way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from typing_extensions import override

from tests.bench.place import Place, WrongEndError, difference, refuse
from tests.bench.stamps import Stamps
from tests.bench.table import Flat

ROOT: Final = Path(__file__).resolve().parents[2]
LOOK: Final = 0.05  # seconds between looks at a contestant
WORK: Final = 0.3  # of a core is more than looking around
QUIET: Final = 0.3  # seconds without a stamp or work, after which the end may have come
PATIENCE: Final = 60.0  # seconds without a stamp or work, after which nothing is to be expected
LIMIT: Final = 300.0  # seconds without a stamp; a limit for a broken program
Config = Mapping[str, Any]


class Contestant:
    """
    A process inside a `with`. What it sets at its start is awaited by `settle`.
    """

    name = "floor"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.stamps = Stamps(place.home / "stamps", fresh=True)
        self.log = place.home / "log"

    def command(self) -> list[str]:
        """Its words."""
        place = self.place
        return [place.program("sync"), str(place.ifindex), place.spoken, str(place.peers_file)]

    def __enter__(self) -> Self:
        with self.place.namespace.enter(), self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.command(), str(self.stamps.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    def settle(self, first: int = 0) -> int:
        """
        Wait until the AllowedIPs are as the place expects them, with a stamp after number `first`; returns the time
        of the last one, in ns. Raises WrongEndError when nothing is done any more, and all is not right.
        """
        return self._settle(first, self.place.wrong, "AllowedIPs")

    def settle_routes(self) -> int:
        """
        The same for the routes through the device.
        """
        return self._settle(0, lambda: difference(self.place.routes(), self.place.expected), "routes")

    def _settle(self, first: int, wrong: Callable[[], Flat], what: str) -> int:
        looked, seen, used = -1, self.stamps.written, self.cpu()
        changed = worked = time.monotonic()
        while True:
            time.sleep(LOOK)
            if self.process.poll() is not None:
                raise WrongEndError(f"{self.name} ended by itself: {self.told()[-2000:]}")
            before, used, now = used, self.cpu(), time.monotonic()
            if used - before > WORK * LOOK * 1e9:
                worked = now
            if self.stamps.written != seen:
                seen, changed = self.stamps.written, now
            quiet, calm = now - changed, now - max(changed, worked)
            if looked != seen > max(first, 1) and (calm > QUIET or quiet > PATIENCE):
                looked = seen
                if not len(wrong()):
                    return self.stamps.last
            if calm > PATIENCE or quiet > LIMIT:
                refuse(self.name, wrong(), what)
                return self.stamps.last

    def told(self) -> str:
        """All that it printed."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """SIGSTOP."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> int:
        """SIGCONT; returns when, in ns."""
        at = time.monotonic_ns()
        os.kill(self.process.pid, signal.SIGCONT)
        return at

    def cpu(self) -> int:
        """Nanoseconds that its threads ran."""
        return cpu(self.process.pid)


class Peerway(Contestant):
    """
    The daemon, with a configuration and a state directory of its own.
    """

    name = "peerway"

    def __init__(self, place: Place, config: Config | None = None, *words: str) -> None:
        super().__init__(place)
        self._config, self._words = config or {}, words
        self._state = tempfile.TemporaryDirectory(prefix="state-", dir=place.home)
        self.control = place.home / "control.sock"

    @override
    def command(self) -> list[str]:
        path = self.place.home / "peerway.yaml"
        daemon = {"control_socket": str(self.control), "state_directory": self._state.name}
        path.write_text(json.dumps({**self._config, "daemon": {**daemon, **self._config.get("daemon", {})}}))
        return [sys.executable, "-m", "tests.bench.launch", *self._words, str(path)]

    @override
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        super().__exit__(kind, error, tb)
        self._state.cleanup()


def memory(pid: int, what: str = "VmRSS:") -> int:
    """Resident bytes of a process; with VmHWM: the most that they ever were."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) << 10
    return 0


def cpu(pid: int) -> int:
    """Nanoseconds that the threads of a process ran so far."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
