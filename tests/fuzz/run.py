"""Fuzz all targets, or those that are named: python -m tests.fuzz.run SECONDS [NAME ...] (make fuzz SECONDS=60).

Each target has a process of its own, and so many seconds of its processor time. Found inputs lie in build/fuzz;
`--keep` puts a few of them that reach what all reach into tests/fuzz/corpus.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.fuzz import corpus
from tests.fuzz.explore import BUILD

FEW: Final = 12  # files that are kept for a target
SHORT: Final = 2048  # bytes of a file that is kept


def explore(name: str, seconds: float) -> bool:
    """Run one target, and print a line about it. Whether nothing was found."""
    command = [sys.executable, "-m", "tests.fuzz.explore", name, str(seconds)]
    done = subprocess.run(command, cwd=corpus.HERE.parents[1], check=False, capture_output=True, text=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.log").write_text(done.stderr + done.stdout)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    told = json.loads(last) if last.startswith("{") else {"executions": 0, "seconds": 0.0}
    verdict = "ok" if done.returncode == 0 else f"BROKEN, see build/fuzz/{name}.log"
    inputs = len(list((BUILD / name).glob("*")))
    print(f"{name:18} {told['executions']:9} runs {told['seconds']:8.1f} s {inputs:5} inputs  {verdict}", flush=True)
    return done.returncode == 0


def keep(name: str) -> None:
    """Put the shortest inputs that reach what all found inputs reach into the corpus; what once broke it stays."""
    with tempfile.TemporaryDirectory() as made:
        command = [sys.executable, "-m", "tests.fuzz.explore", name, "merge", made]
        subprocess.run(command, cwd=corpus.HERE.parents[1], check=True, capture_output=True)
        inputs = [path.read_bytes() for path in Path(made).iterdir()]
    folder = corpus.CORPUS / name
    for path in folder.glob("found-*"):
        path.unlink()
    own = {*corpus.inputs(name)}
    for data in sorted((data for data in inputs if data not in own and len(data) <= SHORT), key=len)[-FEW:]:
        corpus.keep(folder, data, "found")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, help="of processor time for each target")
    parser.add_argument("names", nargs="*", default=[], help=", ".join(corpus.TARGETS))
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--keep", action="store_true", help="renew the corpus from what was found")
    given = parser.parse_args()
    if unknown := set(given.names) - set(corpus.TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(corpus.TARGETS)}")
    names = given.names or corpus.TARGETS
    with ThreadPoolExecutor(given.jobs) as pool:
        fine = list(pool.map(lambda name: explore(name, given.seconds), names))
        if given.keep:
            list(pool.map(keep, names))
    return int(not all(fine))


if __name__ == "__main__":
    sys.exit(main())
