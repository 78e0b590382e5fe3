"""Measure peerway against C floors of the same run: python -m tests.bench.run  (root, wireguard-go, a C compiler).

With --kernel the device is one of the kernel's own WireGuard.

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
END: Final = "<!-- end of it -->"
NARROW: Final = frozenset(
    {"dump", "memory", "idle", "bird", "faces", "clients", "sizes"}
)  # where the number of peers makes no difference


def machine(*, kernel: bool = False) -> str:
    """What the figures depend on."""
    device = "its own WireGuard" if kernel else wireguard_go()
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, {device}"


def wireguard_go() -> str:
    """What wireguard-go calls itself."""
    told = subprocess.run(["wireguard-go", "--version"], capture_output=True, text=True, check=False).stdout
    return (told.splitlines() or ["no wireguard-go"])[0]


def marks(*, kernel: bool = False) -> tuple[str, str]:
    """Between what the table stands in a page; the WireGuard of each kernel has its own."""
    device = f"with the WireGuard of Linux {platform.release().split('.')[0]}" if kernel else "by make bench"
    return f"<!-- what was measured, {device} -->", END


def measure(names: Sequence[str], size: Size, *, kernel: bool = False) -> list[Row]:
    """Hold these contests, and print each row when it is there. Raises WrongEndError."""
    print(machine(kernel=kernel), "", figures.line(figures.TITLES), sep="\n", flush=True)
    rows: list[Row] = []
    for name in names:
        for peers in size.peers[:1] if name in NARROW else size.peers:
            with Place(peers, kernel=kernel) as place:
                for row in CONTESTS[name](place, size):
                    print(figures.line(row.cells()), flush=True)
                    rows.append(row)
    return rows


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; wrong usage ends with status 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="small tables and one round, for the end states")
    parser.add_argument("--kernel", action="store_true", help="the kernel's WireGuard instead of wireguard-go")
    parser.add_argument("--only", action="append", choices=CONTESTS, help="this contest; may be given again")
    parser.add_argument("--routes", type=int, help="IPv4 routes in the table")
    parser.add_argument("--changes", type=int, help="single changes in a round")
    parser.add_argument("--rounds", type=int, help="rounds of each contest")
    parser.add_argument("--peers", type=int, action="append", help="peers on the interface; may be given again")
    parser.add_argument("--markdown", type=Path, help="put the table between the marks of this page")
    parser.add_argument("--plot", type=Path, help="write a plot of the initial sync by size to this file (SVG)")
    asked = parser.parse_args(words)
    if asked.markdown and marks(kernel=asked.kernel)[0] not in asked.markdown.read_text():
        parser.error(f"{asked.markdown} has no line `{marks(kernel=asked.kernel)[0]}`")
    return asked


def put(page: Path, text: str, between: tuple[str, str]) -> None:
    """Put text between the marks of a page."""
    begin, end = between
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}{end}{rest.partition(end)[2]}")


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
    given = {"routes": asked.routes, "bird": asked.routes, "changes": asked.changes, "rounds": asked.rounds}
    size = replace(size, **{key: value for key, value in given.items() if value})
    size = replace(size, peers=tuple(asked.peers)) if asked.peers else size
    try:
        with raising_at_the_end():
            rows = measure(asked.only or list(CONTESTS), size, kernel=asked.kernel)
    except WrongEndError as error:
        print(error, file=sys.stderr)
        return 1
    except NoCompilerError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.markdown:
        head = f"{machine(kernel=asked.kernel)}, {datetime.now(UTC):%d %B %Y}; medians of {size.rounds} rounds"
        put(asked.markdown, f"{head}:\n\n{figures.markdown(rows)}", marks(kernel=asked.kernel))
    if asked.plot:
        asked.plot.write_text(plotted(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
