"""Run random histories: python -m tests.chaos.run [--seed N] [--histories K] [--mutant NAME].

Each seed is one history; a failure prints its deeds, and `--seed N --histories 1` plays it again. Needs root.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from typing_extensions import override

from peerway.lab.namespace import Namespace, sweep
from peerway.lab.signals import raising_at_the_end
from tests.chaos.faults import Knob, Page, install
from tests.chaos.history import History
from tests.chaos.intent import UNIVERSE
from tests.chaos.place import Place, descriptors, resident
from tests.harness.waiting import settle

ROOM = 48 << 20  # bytes that a daemon may have more than the first one had at its start


class HistoryError(AssertionError):
    """A history that did not end as it must: its seed, its deeds, and what was wrong."""


class Runner:
    """Plays histories in one place, and watches what each daemon has open at its end."""

    def __init__(self, namespace: Namespace, mutate: Callable[[], None] = lambda: None) -> None:
        """`mutate` takes a safety rule away in each daemon."""
        self.place = Place(namespace)
        self._mutate = mutate
        self._usual: tuple[list[str], int, int] | None = None

    def play(self, seed: int) -> None:
        """One history. Raises HistoryError."""

        def before(page: Page) -> None:
            install(page, seed, UNIVERSE)
            self._mutate()

        history = Watched(seed, self.place, before, self)
        try:
            history.run()
        except Exception as error:
            deeds = " ".join(history.told)
            raise HistoryError(f"seed {seed}: {error}\ndeeds: {deeds}\nlog:\n{history.log[-1500:]}") from error

    def compare(self, history: History) -> None:
        """Nothing leaks: at rest a daemon has the descriptors and tasks that the first one had at its start."""
        pid, page = history.daemon.pid, history.page
        if self._usual is None:
            self._usual = descriptors(pid), page[Knob.TASKS], resident(pid)
        usual, tasks, memory = self._usual
        settle(lambda: descriptors(pid) == usual or _differ(descriptors(pid), usual), what="the usual descriptors")
        settle(lambda: page[Knob.TASKS] == tasks or _differ(page[Knob.TASKS], tasks), what="the usual tasks")
        assert resident(pid) < memory + ROOM, f"{resident(pid) >> 20} MB of memory, not {memory >> 20}"


class Watched(History):
    """A history whose daemon is looked at when it is at rest."""

    def __init__(self, seed: int, place: Place, before: Callable[[Page], None], runner: Runner) -> None:
        super().__init__(seed, place, before)
        self._runner = runner

    @override
    def start(self) -> None:
        """Look at the first one of all."""
        super().start()
        if self._runner._usual is None:
            time.sleep(1.0)
            self._runner.compare(self)

    @override
    def finish(self) -> None:
        """And at the last one of each history."""
        super().finish()
        self._runner.compare(self)


def _differ(found: object, usual: object) -> bool:
    raise AssertionError(f"{found}, not {usual}")


def main(words: list[str]) -> int:
    """Play histories until one fails."""
    from tests.chaos.mutants import MUTANTS  # noqa: PLC0415 - which imports this module

    parser = argparse.ArgumentParser(prog="tests.chaos.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first history; the next ones count up")
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--mutant", choices=MUTANTS, help="take this safety rule away")
    asked = parser.parse_args(words)
    sweep()
    begin = time.monotonic()
    with raising_at_the_end(), Namespace("chaos") as namespace:
        runner = Runner(namespace, MUTANTS[asked.mutant] if asked.mutant else lambda: None)
        for seed in range(asked.seed, asked.seed + asked.histories):
            try:
                runner.play(seed)
            except HistoryError as error:
                print(error)
                return 1
            done = seed - asked.seed + 1
            if done % 10 == 0:
                print(f"seeds {asked.seed} to {seed}: {done} histories, {time.monotonic() - begin:.0f} s", flush=True)
    print(f"{asked.histories} histories without a difference, seeds {asked.seed} to {asked.seed + asked.histories - 1}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
