"""Explore one target until it has had so many seconds of processor time: python -m tests.fuzz.explore NAME SECONDS.
Or take the inputs that were found, and put few that reach the same into a folder: ... NAME merge FOLDER.

With atheris it is guided by coverage; without it inputs are changed blindly. New inputs go to build/fuzz/NAME, and one
that breaks the target to NAME-broken. The last line is JSON: executions, and seconds of processor time.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.fuzz import corpus, mutate

BUILD: Final = corpus.HERE.parents[1] / "build" / "fuzz"
HANGS: Final = 60  # seconds of one execution
MEMORY: Final = 2048  # MiB that an execution may take
INSTRUMENTED: Final = ["peerway", "ruamel"]


class Watched:
    """A target that counts, and ends the process when its time is over or when it is broken."""

    def __init__(self, one: Callable[[bytes], None], broken: Path, seconds: float) -> None:
        self._one, self._broken, self._seconds = one, broken, seconds
        self._begin = time.process_time()
        self._count = 0

    def __call__(self, data: bytes) -> None:
        self._count += 1
        try:
            self._one(data)
        except Exception:  # noqa: BLE001 - whatever it is, it is the find
            print(traceback.format_exc())
            print(f"kept as {corpus.keep(self._broken, data, 'crash')}")
            self.end(1)
        if self._count % 16 == 0 and time.process_time() - self._begin > self._seconds:
            self.end(0)

    def end(self, status: int) -> None:
        print(json.dumps({"executions": self._count, "seconds": round(time.process_time() - self._begin, 1)}))
        sys.stdout.flush()
        os._exit(status)  # threads of a target do not matter


def main(name: str, seconds: float, into: str = "") -> None:
    """Explore, or merge into a folder; ends the process."""
    folder = BUILD / name
    broken = BUILD / f"{name}-broken"
    broken.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("atheris") is None:
        _blindly(Watched(corpus.target(name), broken, seconds), name)
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=INSTRUMENTED):
        one = corpus.target(name)
    for data in corpus.inputs(name):
        corpus.keep(folder, data, "seed")
    options = [f"-timeout={HANGS}", f"-rss_limit_mb={MEMORY}", f"-max_len={mutate.LONGEST}", "-verbosity=0"]
    words = [*options, f"-artifact_prefix={broken}/", *(["-merge=1", into] if into else []), str(folder)]
    program = f"{sys.executable} -m tests.fuzz.explore {name} merge {into}"  # a merge runs it again, with its own words
    atheris.Setup([program, *(sys.argv[4:] or words)], Watched(one, broken, seconds))
    atheris.Fuzz()


def _blindly(watched: Watched, name: str) -> None:
    inputs = corpus.inputs(name)
    for seed in itertools.count():
        for data in [*inputs, *mutate.mutants(inputs, seed, 10_000)]:
            watched(data)


if __name__ == "__main__":
    what = sys.argv[2]
    main(sys.argv[1], math.inf if what == "merge" else float(what), sys.argv[3] if what == "merge" else "")
