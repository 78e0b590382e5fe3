"""The allocator is told to be frugal, and gives back what is free."""

from __future__ import annotations

import subprocess
import sys

CHURN = """
import sys
from pathlib import Path
from peerway.backends import malloc

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) << 12

if sys.argv[1] == "frugal":
    malloc.be_frugal()
before = resident()
for megabytes in range(1, 30):
    several = [bytearray(megabytes << 20) for _ in range(2)]
    kept = bytearray(1 << 10)  # stands behind them in a heap
    del several
if sys.argv[1] == "frugal":
    malloc.trim()
print(resident() - before)
"""


def left_over(how: str) -> int:
    """Bytes that a process has more after large blocks came and went than before."""
    done = subprocess.run([sys.executable, "-c", CHURN, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_large_blocks_leave_nothing_behind() -> None:
    """After large blocks came and went, a frugal process is as large as before."""
    assert left_over("frugal") < 4 << 20
