"""What was refused, and when it is tried again: each prefix by itself, so that none waits for another.

A prefix that fails again and again is tried less and less often; one that is new is tried soon. What fails together and
for one reason is one value in a column, so a million refused prefixes are no million objects. Time is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from peerway.model.columns import Column
from peerway.model.keys import PublicKey
from peerway.model.table import Table

FIRST: Final = 1.0  # seconds until the second attempt; each further one after twice the time
LAST: Final = 60.0  # the longest pause


def pause(attempts: int) -> float:
    """
    Seconds until the next attempt, after so many that failed.
    """
    return min(FIRST * 2.0 ** min(attempts - 1, 30), LAST)


@dataclass(frozen=True, slots=True)
class Failure:
    """
    The last attempt's error in words, which peer it was about (if any), how many failed in a row, and when the next
    one is due, in seconds of the clock that `Health` is told.
    """

    reason: str
    peer: PublicKey | None = None
    attempts: int = 1
    due: float = 0.0


class Health:
    """
    What failed on one interface: `failures` of prefixes, and chores (work that is done as a whole) by name.
    """

    def __init__(self) -> None:
        self.failures: Table[Failure] = Table()
        self.chores: dict[str, Failure] = {}
        self.deadline = math.inf
        """When the next attempt at anything is due."""
        self._refused: list[tuple[Column, str, PublicKey | None]] = []

    def refuse(self, column: Column, reason: str, peer: PublicKey | None) -> None:
        """
        Note that the present attempt at some prefixes failed. It counts when the attempt is over.
        """
        if len(column):
            self._refused.append((column, reason, peer))

    def tried(self, columns: Iterable[Column], now: float) -> None:
        """
        An attempt at these prefixes is over: those that were refused in it have failed once more, the others are well.
        """
        if not self.failures and not self._refused:
            return
        failed: Table[Failure] = Table()
        for column, reason, peer in self._refused:
            for former, part in self.failures.groups(column):
                failed.put(part, _again(former, reason, peer, now))
        self._refused = []
        for column in columns:
            self.failures.put(column, None)
        self.failures.put_groups(group for column in failed.columns() for group in failed.groups(column))
        self.failures.tidy()
        self._reckon()

    def due(self, now: float) -> list[Column]:
        """
        The prefixes whose next attempt is due.
        """
        return self.failures.having(failure for failure in self.failures.counts() if failure.due <= now)

    def hurry(self) -> None:
        """
        Make the next attempt at everything due at once.
        """
        for failure in self.failures.counts():
            for column in self.failures.having([failure]):
                self.failures.put(column, replace(failure, due=-math.inf))
        self.chores = {name: replace(failure, due=-math.inf) for name, failure in self.chores.items()}
        self._reckon()

    def failed(self, chore: str, reason: str, now: float) -> None:
        """
        A chore failed once more.
        """
        self.chores[chore] = _again(self.chores.get(chore), reason, None, now)
        self._reckon()

    def done(self, chore: str) -> None:
        """
        A chore is done.
        """
        if self.chores.pop(chore, None) is not None:
            self._reckon()

    def is_due(self, chore: str, now: float) -> bool:
        """
        Whether a chore that failed is due again.
        """
        return chore in self.chores and self.chores[chore].due <= now

    def _reckon(self) -> None:
        waiting = [*self.failures.counts(), *self.chores.values()]
        self.deadline = min((failure.due for failure in waiting), default=math.inf)


def _again(former: Failure | None, reason: str, peer: PublicKey | None, now: float) -> Failure:
    attempts = former.attempts + 1 if former is not None else 1
    return Failure(reason, peer, attempts, now + pause(attempts))
