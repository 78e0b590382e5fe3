"""Deaths of the daemon: by the clock, at an edge, in the middle of moves, at its start."""

from __future__ import annotations

import time
from typing import Final

from peerway.model import prefix as px
from tests.chaos.deeds import Deeds
from tests.chaos.extent import extent
from tests.chaos.faults import Knob
from tests.chaos.intent import MOVERS
from tests.chaos.place import ROUTED, gateway
from tests.harness.waiting import settle

MOMENT: Final = extent(0.2, 0.2, 3.0)  # seconds in which an edge is crossed some times
AGONY: Final = extent(3.0, 3.0, 20.0)


class Deaths(Deeds):
    """Deeds that the daemon does not survive, if they hit it."""

    def die(self) -> None:
        """Killed, at an instant of the clock."""
        if self.alive:
            self.routes()
            time.sleep(self.dice.uniform(0, 0.03))
            self.daemon.kill()

    def die_at_an_edge(self) -> None:
        """Killed when it crosses an edge for the nth time from now on, in the middle of work."""
        if self.alive:
            self._aim(self.dice.randint(1, 12))
            self.place.ip(*self.route_commands(8))
            self._wait_for_death()

    def die_while_it_moves(self) -> None:
        """Killed while prefixes go from one peer to another: each of them has an owner in that instant."""
        one, other = self.dice.sample(sorted(ROUTED), 2)
        if not {one, other} <= self.present or self.settings["route_sync"] == "peers-to-routes":
            return
        self.quiet()
        if not self.alive:
            self.start()
        self._move(one)
        settle(lambda: self.place.held().keys() >= set(MOVERS), what="the movers at their first peer")
        self.sync()
        self._aim(self.dice.randint(1, 8))
        self._move(other)
        self._wait_for_death()
        held = self.place.held()
        lost = [px.text(prefix) for prefix in MOVERS if prefix not in held]
        assert not lost, f"{lost} had no owner when the daemon died in the middle of a move"

    def _move(self, name: str) -> None:
        way = f"via inet6 {gateway(name)} dev {{dev}} proto bird metric 10"
        self.place.ip(*(f"route replace {px.text(prefix)} {way}" for prefix in MOVERS))

    def die_at_its_start(self) -> None:
        """Killed before it has come to rest."""
        if not self.alive:
            self._aim(self.dice.randint(1, 8))
            self.daemon.start(wait=False)
            self._wait_for_death()

    def leave(self) -> None:
        """A clean stop, which leaves everything as it is."""
        if self.alive:
            assert self.daemon.stop() == 0

    def _aim(self, after: int) -> None:
        self.page[Knob.KILL_AT] = self.page[Knob.CROSSINGS] + after

    def _wait_for_death(self) -> None:
        """It dies when it comes to the aim, which it may not; then it goes on, or is killed by the clock."""
        aim, deadline = self.page[Knob.KILL_AT], time.monotonic() + MOMENT
        while self.alive and self.page[Knob.CROSSINGS] < aim and time.monotonic() < deadline:
            time.sleep(0.005)
        self.page[Knob.KILL_AT] = 0
        deadline = time.monotonic() + AGONY
        while self.alive and self.page[Knob.CROSSINGS] >= aim and time.monotonic() < deadline:
            time.sleep(0.005)  # a process that was killed still answers for a while on a busy machine
        if not self.alive:
            self.told.append("DIED")
        elif self.dice.random() < 0.5:
            self.daemon.kill()
        else:
            self.daemon.settle(self.daemon._answers, what="an answer on the control socket")

    def rest(self) -> None:
        """Nothing happens for a moment."""
        time.sleep(0.02)
