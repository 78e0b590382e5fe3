"""BIRD 2, unmodified, loads a table of static routes into the kernel while somebody listens."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from peerway.lab.bird import Bird
from peerway.model import prefix as px
from tests.bench import table
from tests.bench.contest import SECOND, Size
from tests.bench.contestant import Contestant, Peerway, cpu
from tests.bench.figures import Row
from tests.bench.place import Place, WrongEndError

PAUSE: Final = 0.02  # seconds between looks at BIRD
WORK: Final = 2_000_000  # ns of CPU in that time that are more than waiting
REST: Final = SECOND // 2  # ns without work after which BIRD may be done
PATIENCE: Final = 20 * SECOND
ANY_PROTOCOL: Final = 0
HEAD: Final = """
log stderr { warning, error, fatal, bug };
router id 192.0.2.1;
protocol device { scan time 3600; }
protocol kernel kernel4 { ipv4 { import none; export all; }; scan time 3600; }
protocol static static4 { ipv4;
"""


@dataclass(frozen=True, slots=True)
class Loading:
    """
    One loading: seconds of BIRD, seconds by which the AllowedIPs were complete after the kernel's table was, and
    whether the kernel dropped notifications.
    """

    took: float
    lag: float = 0.0
    dropped: bool = False


def bird(place: Place, size: Size) -> list[Row]:
    """BIRD alone, beside the C floor and beside peerway; the lag of the AllowedIPs behind the kernel's table."""
    flat = table.generate(size.bird, 0, len(place.keys))
    gateways = [px.address_text(gateway) for gateway in place.gateways]
    routes = (f"route {table.text(one)} via {gateways[one['peer']]}%'{place.device.name}';\n" for one in flat)
    config = HEAD + "".join(routes) + "}\n"
    makers: tuple[Callable[[Place], Contestant] | None, ...] = (None, Contestant, Peerway)
    results: list[list[Loading]] = [[], [], []]
    for _ in range(size.rounds):
        for mine, make in zip(results, makers, strict=True):
            place.clear()
            place.expected = flat[:0]
            with make(place) if make else nullcontext() as contestant:
                if contestant:
                    _await_begin(contestant)
                place.expected = flat
                mine.append(_load(place, config, contestant))
            place.load(flat, "delete", protocol=ANY_PROTOCOL)
    _, floor, ours = results
    title = size.title("BIRD", place)
    times = [[each.took for each in side] for side in results]
    dropped = [sum(each.dropped for each in side) for side in (floor, ours)]
    return [
        Row(f"{title}, beside peerway against alone", "s", times[0], times[2], "1.1"),
        Row(f"{title}, beside peerway against beside the floor", "s", times[1], times[2]),
        Row(
            f"{title}, AllowedIPs after the kernel",
            "s",
            [e.lag for e in floor],
            [e.lag for e in ours],
            "0.5 s",
            compared=False,
        ),
        Row(f"{title}, rounds with ENOBUFS", "", dropped[:1], dropped[1:], "0", compared=False),
    ]


def _await_begin(contestant: Contestant) -> None:
    """It listens when it used no CPU for a while after its begin."""
    used = -1
    while contestant.stamps.written == 0 or contestant.cpu() - used > SECOND // 100:
        used = contestant.cpu()
        time.sleep(0.3)


def _load(place: Place, config: str, contestant: Contestant | None) -> Loading:
    bird = Bird(place.namespace, place.home, "bench")
    bird.socket.unlink(missing_ok=True)
    first = contestant.stamps.written if contestant else 0
    begin = time.monotonic_ns()
    process = bird.start(config)
    try:
        full = _await_rest(place, process, bird)
        took = (full - begin) / SECOND
        if contestant is None:
            return Loading(took)
        lag = (contestant.settle(first) - full) / SECOND
        return Loading(took, lag, "dropped notifications" in contestant.told() or "overrun" in contestant.told())
    finally:
        process.kill()  # a clean end would withdraw all, one by one
        process.wait()


def _await_rest(place: Place, process: subprocess.Popen[bytes], bird: Bird) -> int:
    """
    When BIRD, which is one thread, had no work any more, in ns; then all its routes are in the kernel.
    """
    last, used = time.monotonic_ns(), 0
    while process.poll() is None:
        time.sleep(PAUSE)
        now, before, used = time.monotonic_ns(), used, cpu(process.pid)
        if used - before > WORK:
            last = now
        elif now - last > PATIENCE:
            break
        elif now - last > REST and len(place.routes()) == len(place.expected):
            return last
    raise WrongEndError(f"BIRD did not fill the kernel's table: {bird.log.read_text()[-2000:]}")
