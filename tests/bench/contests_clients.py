"""The contest of a crowd at the control socket: what it costs a change of routes, and the daemon's memory."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Final

import numpy as np

from tests.bench.contest import Size, loaded, turns
from tests.bench.contestant import ROOT, Contestant, Peerway, memory
from tests.bench.contests_live import lone_changes
from tests.bench.figures import Row, percentile
from tests.bench.place import Place, WrongEndError

CLIENTS: Final = 1000
ROUTES: Final = 20_000
CALM: Final = 0.05  # seconds between changes: a few hundred listeners are told of each


def clients(place: Place, size: Size) -> list[Row]:
    """One change alone, and beside a thousand clients of which half take nothing of what they asked for."""
    rng = np.random.default_rng(6)
    seconds = size.idle

    def measure(contestant: Contestant) -> tuple[list[float], list[float], list[float]]:
        assert isinstance(contestant, Peerway)
        contestant.settle()
        number = int(seconds / CALM)
        quiet = lone_changes(place, contestant, number, rng, CALM)
        words = [sys.executable, "-m", "tests.bench.crowd", str(contestant.control), str(CLIENTS)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as crowd:
            assert crowd.stdout is not None
            came = crowd.stdout.readline()
            if came != f"asked {CLIENTS} lost 0\n":
                raise WrongEndError(f"the crowd did not come in: {came}, {contestant.told()[-500:]}")
            before = memory(contestant.process.pid)
            begin = time.monotonic()
            busy = lone_changes(place, contestant, number, rng, CALM)
            after = memory(contestant.process.pid)
            told, _ = crowd.communicate("")
            lasted = time.monotonic() - begin
            answers = int(told.split()[1])
        contestant.settle()
        return (
            [percentile(quiet, share) / 1000 for share in (0.5, 0.99)],
            [percentile(busy, share) / 1000 for share in (0.5, 0.99)],
            [before / 1e6, after / 1e6, answers / lasted],
        )

    loaded(place, min(size.routes, ROUTES))
    (ours,) = turns(place, size.rounds, measure, [Peerway])
    title = f"one change beside {CLIENTS:,} clients, half of them stalled, against alone"
    return [
        *(
            Row(
                size.title(f"{title}, {name}", place),
                "us",
                [quiet[at] for quiet, _, _ in ours],
                [busy[at] for _, busy, _ in ours],
                limit,
            )
            for at, (name, limit) in enumerate((("p50", "2"), ("p99", "")))
        ),
        Row(f"resident memory then, after {seconds:.0f} s against before", "MB", *_two(ours)),
        Row("answers and events that the others got then", "/s", [], [figures[2] for _, _, figures in ours]),
    ]


def _two(ours: list[tuple[list[float], list[float], list[float]]]) -> tuple[list[float], list[float]]:
    return [figures[0] for _, _, figures in ours], [figures[1] for _, _, figures in ours]
