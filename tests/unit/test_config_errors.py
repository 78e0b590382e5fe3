"""Errors of a configuration stand in the order of its lines, each with its place."""

from __future__ import annotations

import pickle

from peerway.config_errors import ConfigError, Problem

LATER = Problem("f.yaml", 7, "interfaces.wg0.metric", "0", "too low", "write 1 or more")
WHOLE = Problem("f.yaml", 0, "", "", "no such file", "name one")


def test_problems_are_told_by_line() -> None:
    """One sentence each: file, line, key, value, what is wrong, the cure; those of the whole file come first."""
    error = ConfigError([LATER, WHOLE])
    assert error.problems == (WHOLE, LATER)
    assert str(error) == "f.yaml: no such file; name one\nf.yaml:7: interfaces.wg0.metric: 0: too low; write 1 or more"


def test_problems_pass_between_processes() -> None:
    """A problem arrives as it was sent."""
    assert pickle.loads(pickle.dumps((LATER, WHOLE))) == (LATER, WHOLE)
