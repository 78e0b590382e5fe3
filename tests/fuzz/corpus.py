"""Where the inputs of a target are: those that it makes itself, and files that were found or recorded.

A file is named after what it holds. `crash-*` are inputs that once broke something; they stay for good.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CORPUS: Final = HERE / "corpus"
TARGETS: Final = tuple(sorted(path.stem for path in (HERE / "targets").glob("*.py")))


def target(name: str) -> Callable[[bytes], None]:
    """The function that takes one input, and raises if what its docstring says is not so."""
    one: Callable[[bytes], None] = importlib.import_module(f"tests.fuzz.targets.{name}").one
    return one


def inputs(name: str) -> list[bytes]:
    """All inputs of a target, in a fixed order."""
    seeds: list[bytes] = importlib.import_module(f"tests.fuzz.targets.{name}").seeds()
    return [*seeds, *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]


def keep(folder: Path, data: bytes, kind: str) -> Path:
    """Write an input under a name that tells its kind and content. Returns where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{hashlib.blake2b(data, digest_size=6).hexdigest()}"
    path.write_bytes(data)
    return path
