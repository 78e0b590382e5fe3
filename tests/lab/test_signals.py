"""Signals that end a program take its laboratory away first."""

from __future__ import annotations

import signal
import subprocess
import sys

from peerway.lab import netns
from peerway.lab.signals import ENDING, raising_at_the_end


def test_a_terminated_program_leaves_nothing() -> None:
    """SIGTERM in the middle of a lab takes its namespace away before the program ends."""
    body = (
        "from peerway.lab.namespace import Namespace\n"
        "from peerway.lab.signals import raising_at_the_end\n"
        "import time\n"
        "with raising_at_the_end(), Namespace('term') as n:\n"
        "    n.popen('sleep', '1000'); print(n.name, flush=True); time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        name = program.stdout.readline().strip()
        assert netns.path_of(name).exists()
        program.terminate()
        assert program.wait(30) == 128 + signal.SIGTERM
    assert not netns.path_of(name).exists()


def test_handlers_are_put_back() -> None:
    """After the body the handlers are those from before."""
    before = [signal.getsignal(number) for number in ENDING]
    with raising_at_the_end():
        assert [signal.getsignal(number) for number in ENDING] != before
    assert [signal.getsignal(number) for number in ENDING] == before
