"""A timer that waits beside sockets."""

from __future__ import annotations

import select

from peerway.backends.timerfd import Timer


def test_timer_runs_out_once() -> None:
    """It becomes readable after its time, and says so once."""
    timer = Timer()
    assert not timer.expired()
    timer.start(0.001)
    assert select.select([timer], [], [], 10)[0]
    assert timer.expired()
    assert not timer.expired()
    assert not select.select([timer], [], [], 0)[0]
    timer.close()
    timer.close()


def test_timer_that_was_not_started_stays_silent() -> None:
    """A long time set anew replaces a short one."""
    timer = Timer()
    assert not select.select([timer], [], [], 0)[0]
    timer.start(1000)
    assert not select.select([timer], [], [], 0.01)[0]
    timer.close()
