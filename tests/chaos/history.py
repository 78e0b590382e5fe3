"""A random history: what users, programs, kernel and disk do to a running peerway, and what must be in the end.

The seed gives every deed; the instants in which the daemon is hit are its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from peerway.model import prefix as px
from tests.chaos.deaths import Deaths
from tests.chaos.faults import Knob, Page
from tests.chaos.intent import CONTESTED, settings
from tests.chaos.place import Place
from tests.harness.daemon import Daemon
from tests.harness.waiting import TIMEOUT, settle

LEAST, MOST = 10, 40  # deeds
PATIENCE: Final = TIMEOUT


class History(Deaths):
    """One seed's history. `told` is what was done, for whoever has to find out why it failed."""

    def __init__(self, seed: int, place: Place, before: Callable[[Page], None]) -> None:
        """`before` is called in each new daemon's process, before its main."""
        self.seed, self.log = seed, ""
        self.dice = random.Random(f"{seed}")
        self.page = Page()
        self.silent = self.dice.random() < 0.2  # notifications go and nobody tells: only audits find it
        self.page[Knob.AUDIT] = 150 if self.silent else 600_000
        super().__init__(place, settings(self.dice))
        self.told.append("silent losses" if self.silent else "told losses")
        self.daemon = Daemon(place.namespace, self.config(), before=lambda: before(self.page))

    def run(self) -> None:
        """All deeds, and the check at the end."""
        self.place.reset()
        try:
            self.start()
            for number in range(self.dice.randint(LEAST, MOST)):
                self.dice = random.Random(f"{self.seed}-{number}")
                deed = self.dice.choices([deed for deed, _ in DEEDS], [weight for _, weight in DEEDS])[0]
                self.told.append(deed.__name__)
                deed(self)
                if not self.alive and self.dice.random() < 0.4:
                    self.start()
            self._storm()
            self.finish()
        finally:
            self.place.stop(stopped=False)
            self.log = self.daemon.log()
            self.daemon.close()

    def _storm(self) -> None:
        """Often the last that happens are faults, which nobody's sync makes up for."""
        if self.alive and self.dice.random() < 0.6:
            self.told.append("STORM")
            self.faults()
            for _ in range(3):
                self.dice.choice((self.routes, self.routes, self.routes, self.flap, self.nexthops))()

    def finish(self) -> None:
        """No more faults: by itself everything comes to be as it must."""
        self.told.append("FINISH")
        self.page.calm()
        if not self.alive:
            self.start()
        settle(self._agrees, PATIENCE, what="peerway's own verify")
        settle(lambda: not self.wrong(), PATIENCE, what="what ip and wg show", tell=lambda: "\n".join(self.wrong()))
        settle(self._agrees, PATIENCE, what="peerway's own verify after that")
        settle(lambda: not self._errors(), PATIENCE, what="a status without errors", tell=lambda: str(self._errors()))

    def _errors(self) -> list[str]:
        """What the status tells: a reading that failed before faults ended is told until the next one."""
        status = self.request("GET", "/v1/status")["interfaces"][0]
        return [error for error in status.get("errors", ()) if px.text(CONTESTED) not in error]

    def _agrees(self) -> bool:
        answer = self.request("POST", "/v1/verify")
        differences = [line for line in answer.get("differences", [str(answer)]) if px.text(CONTESTED) not in line]
        assert not differences, differences[:5]
        return True


DEEDS: Final[tuple[tuple[Callable[[History], None], int], ...]] = (
    (History.routes, 30),
    (History.nexthops, 5),
    (History.statics_come, 3),
    (History.theft, 3),
    (History.flap, 3),
    (History.recreate, 1),
    (History.hang, 2),
    (History.pin, 6),
    (History.unpin, 4),
    (History.lose, 3),
    (History.seize, 4),
    (History.peer_goes, 4),
    (History.peers_come, 4),
    (History.faults, 8),
    (History.reload, 4),
    (History.die, 2),
    (History.die_at_an_edge, 5),
    (History.die_while_it_moves, 3),
    (History.die_at_its_start, 3),
    (History.leave, 2),
    (History.rest, 3),
)
