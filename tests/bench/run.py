"""Measure peerway against C floors of the same run: python -m tests.bench.run  (root, wireguard-go, a C compiler).

Rounds are interleaved, so that what else the machine does falls on all contestants. The status is 1 if an end state is
wrong; speed is printed and never judged.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from peerway.lab.signals import raising_at_the_end
from tests.bench import (
    contests_bird,
    contests_clients,
    contests_faces,
    contests_live,
    contests_reverse,
    contests_sync,
    figures,
    plot,
)
from tests.bench.contest import FULL, SHORT, Size
from tests.bench.figures import Row
from tests.bench.floors import NoCompilerError
from tests.bench.place import Place, WrongEndError

Contest = Callable[[Place, Size], list[Row]]
CONTESTS: Final[dict[str, Contest]] = {
    "initial": contests_sync.initial,
    "initial6": contests_sync.initial6,
    "dump": contests_sync.dump,
    "change": contests_live.change,
    "moves": contests_live.moves,
    "overrun": contests_live.overrun,
    "nexthop": contests_live.nexthop,
    "memory": contests_sync.resident,
    "idle": contests_sync.idle,
    "guards": contests_sync.guards,
    "pinned": contests_reverse.pinned,
    "bird": contests_bird.bird,
    "faces": contests_faces.faces,
    "aggregated": contests_faces.aggregated,
    "clients": contests_clients.clients,
    "sizes": contests_sync.sizes,
}
MARKS: Final = ("<!-- what was measured, by make bench -->", "<!-- end of it -->")
NARROW: Final = frozenset(
    {"dump", "memory", "idle", "bird", "faces", "clients", "sizes"}
)  # where the number of peers makes no difference


def machine() -> str:
    """What the figures depend on."""
    told = subprocess.run(["wireguard-go", "--version"], capture_output=True, text=True, check=False).stdout
    version = (told.splitlines() or ["no wireguard-go"])[0]
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, {version}"


def measure(names: Sequence[str], size: Size) -> list[Row]:
    """Hold these contests, and print each row when it is there. Raises WrongEndError."""
    print(machine(), "", figures.line(figures.TITLES), sep="\n", flush=True)
    rows: list[Row] = []
    for name in names:
        for peers in size.peers[:1] if name in NARROW else size.peers:
            with Place(peers) as place:
                for row in CONTESTS[name](place, size):
                    print(figures.line(row.cells()), flush=True)
                    rows.append(row)
    return rows


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; wrong usage ends with status 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="small tables and one round, for the end states")
    parser.add_argument("--only", action="append", choices=CONTESTS, help="this contest; may be given again")
    parser.add_argument("--routes", type=int, help="IPv4 routes in the table")
    parser.add_argument("--rounds", type=int, help="rounds of each contest")
    parser.add_argument("--peers", type=int, action="append", help="peers on the interface; may be given again")
    parser.add_argument("--markdown", type=Path, help="put the table between the marks of this page")
    parser.add_argument("--plot", type=Path, help="write a plot of the initial sync by size to this file (SVG)")
    return parser.parse_args(words)


def put(page: Path, text: str) -> None:
    """Put text between the marks of a page."""
    before, rest = page.read_text().split(MARKS[0])
    page.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{rest.split(MARKS[1])[1]}")


def plotted(rows: Sequence[Row]) -> str:
    """The rows of the contest `sizes` as an SVG."""
    points = [(row.size, median(row.floor), median(row.ours)) for row in rows if row.size]
    lines = {"C floor": [(x, y) for x, y, _ in points], "peerway": [(x, y) for x, _, y in points]}
    return plot.svg("Initial sync by size of the table", ("routes", "seconds"), lines)


def main(words: Sequence[str]) -> int:
    """
    Measure and print. Returns 0, 1 for a wrong end state, 2 if there is no compiler.
    """
    asked = arguments(words)
    size = SHORT if asked.short else FULL
    given = {"routes": asked.routes, "bird": asked.routes, "rounds": asked.rounds}
    size = replace(size, **{key: value for key, value in given.items() if value})
    size = replace(size, peers=tuple(asked.peers)) if asked.peers else size
    try:
        with raising_at_the_end():
            rows = measure(asked.only or list(CONTESTS), size)
    except WrongEndError as error:
        print(error, file=sys.stderr)
        return 1
    except NoCompilerError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.markdown:
        put(
            asked.markdown,
            f"{machine()}, {datetime.now(UTC):%d %B %Y}; medians of {size.rounds} rounds:\n\n{figures.markdown(rows)}",
        )
    if asked.plot:
        asked.plot.write_text(plotted(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
