"""The C programs of c/: built anew by each process that needs them, once."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).with_name("c")
PROGRAMS: Final = ("receive", "load", "clear", "set", "held", "routes", "sync")
FLAGS: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-sign-compare")


class NoCompilerError(RuntimeError):
    """
    There is no C compiler.
    """


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="peerway-floors-")  # goes with the process


@functools.cache
def programs() -> Path:
    """
    Where all programs are, compiled. Raises NoCompilerError, and CalledProcessError for what does not compile.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("no C compiler for the floors: apt-get install gcc libc6-dev")
    home = Path(_folder().name)
    for name in PROGRAMS:
        source = SOURCES / f"{name}.c"
        subprocess.run([compiler, *FLAGS, "-o", str(home / name), str(source)], check=True)
    return home
