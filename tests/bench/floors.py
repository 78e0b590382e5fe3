"""The C programs of c/: built anew for each run, and started in the namespace of a bench."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).with_name("c")
PROGRAMS: Final = ("receive", "load", "set", "held", "routes", "sync")
FLAGS: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-sign-compare")


class NoCompilerError(RuntimeError):
    """
    There is no C compiler.
    """


def build(home: Path) -> None:
    """
    Compile all programs into `home`. Raises NoCompilerError, and CalledProcessError for what does not compile.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("no C compiler for the floors: apt-get install gcc libc6-dev")
    for name in PROGRAMS:
        source = SOURCES / f"{name}.c"
        subprocess.run([compiler, *FLAGS, "-o", str(home / name), str(source)], check=True)
