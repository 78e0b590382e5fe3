"""The command line as somebody else would use it: a real user and real groups, in a process of its own.

It is forked from the test, and all that the command imports is imported before: somebody else may not be able to read
where Python is installed.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from peerway.cli.main import VERBS, cli

NOBODY = 65534
MODULES = ("peerway.daemon", "peerway.config", "peerway.config_reference", "peerway.control.client", "encodings.idna")
_CRASHED = 70


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    text: str


def run_as(words: Sequence[str], *, user: int = NOBODY, groups: Sequence[int] = (NOBODY,)) -> Done:
    """
    Run `peerway WORDS` as this user, with the first of these groups as its own and the others besides.
    """
    for name in (*(f"peerway.cli.{verb}" for verb in VERBS), *MODULES):
        importlib.import_module(name)
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            _be(user, groups, words, output.fileno())
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        return Done(os.waitstatus_to_exitcode(status), output.read().decode())


def _be(user: int, groups: Sequence[int], words: Sequence[str], output: int) -> NoReturn:
    status = _CRASHED
    try:
        gc.freeze()  # nothing of the test is finalised here
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, 4096)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the child's life
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - for the child's life
        logging.root.handlers.clear()  # pytest's
        os.chdir("/")
        os.setgroups(groups[1:])
        os.setresgid(groups[0], groups[0], groups[0])
        os.setresuid(user, user, user)
        status = cli.main(list(words), prog_name="peerway", standalone_mode=False) or 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and goes no further
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def open_home(path: Path) -> None:
    """
    Let everybody get as far as the files in a test's private directory, each of which has a mode of its own.
    """
    path.chmod(0o755)
