"""What may happen to a running peerway, and to one that does not run: the deeds of a random history."""

from __future__ import annotations

import random
import time

from peerway.control.api import Json
from peerway.model import prefix as px
from peerway.model.setup import PeerConfig
from tests.chaos.faults import Knob, Page
from tests.chaos.intent import STATICS, UNIVERSE, Intent, Settings, settings
from tests.chaos.place import PEERS, PINNED, ROUTED, Place, gateway
from tests.harness.daemon import Daemon


class Deeds(Intent):
    """
    One deed a method. Each chooses by `dice` alone, whatever the daemon does meanwhile.

    What others do with AllowedIPs they do while nothing is under way: WireGuard knows no "if nobody has it", so who
    pins a prefix in the instant in which peerway gives it to somebody loses, and nobody could know.
    """

    dice: random.Random
    page: Page
    daemon: Daemon
    told: list[str]
    silent: bool

    def __init__(self, place: Place, first: Settings) -> None:
        super().__init__(place, first)
        self.told = [f"settings {first}"]

    def config(self) -> Settings:
        """The daemon's configuration."""
        return {"daemon": {"poll_interval": "100ms"}, "interfaces": {"*": self.settings}}

    @property
    def alive(self) -> bool:
        """Whether the daemon runs; one that was killed at an edge is noticed here."""
        return self.daemon.running()

    def start(self) -> None:
        """A new process, on what the former one left."""
        self.page[Knob.KILL_AT] = 0
        self.told.append("START")
        self.daemon.start()

    def sync(self) -> None:
        """The daemon has seen all, and done it."""
        self.request("POST", "/v1/sync")

    def request(self, method: str, path: str) -> Json:
        """Ask the daemon."""
        return self.daemon.request(method, path)

    def quiet(self) -> None:
        """Nothing is under way: no faults, and all that was seen is done."""
        self.page.calm()
        if self.alive:
            self.sync()

    # routes

    def _via(self) -> str:
        names = self.dice.sample(ROUTED, self.dice.choice((1, 1, 1, 2)))
        if len(names) == 1 and self.dice.random() < 0.2:
            return f"nhid {self.dice.choice((1, 2, 10))}"
        hops = [f"via inet6 {gateway(name)} dev {{dev}}" for name in names]
        return hops[0] if len(hops) == 1 else " ".join(f"nexthop {hop}" for hop in hops)

    def route_commands(self, count: int) -> list[str]:
        """So many changes of routes."""
        return [self._route() for _ in range(count)]

    def _route(self) -> str:
        dice, prefix = self.dice, self.dice.choice(UNIVERSE)
        ipv6 = px.family(prefix) == px.AF_INET6
        protocol = dice.choice(("bird", "bird", "bird", "babel"))
        where = f"{px.text(prefix)} metric {dice.choice((10, 20))} table {dice.choice(('main', 'main', 'main', 100))}"
        if dice.random() < 0.35:
            return f"route del {where} proto {protocol}"
        verb = dice.choice(("replace", "replace", "replace", "add", "append", *(() if ipv6 else ("prepend",))))
        way = self._via().replace("via inet6", "via") if ipv6 else self._via()
        return f"route {verb} {where} proto {protocol} {way}"

    def routes(self) -> None:
        """Routes come, move and go."""
        self.place.ip(*self.route_commands(self.dice.choice((1, 1, 3, 12))))

    def nexthops(self) -> None:
        """Nexthop objects and a group of them are made, replaced and deleted; first, since routes need them."""
        dice = self.dice
        commands = [
            f"nexthop replace id {number} via {gateway(dice.choice(ROUTED))} dev {{dev}}"
            for number in (1, 2)
            if dice.random() < 0.7
        ]
        commands.append("nexthop replace id 10 group 1/2")
        if dice.random() < 0.3:
            commands.append(f"nexthop del id {dice.choice((1, 2, 10))}")
        self.place.ip(*commands)

    def statics_come(self) -> None:
        """Somebody else has a route of our metric through the device: it counts, and stays."""
        for prefix in STATICS:
            if prefix not in self.statics:
                name = self.statics[prefix] = self.dice.choice(ROUTED)
                way = f"via inet6 {gateway(name)} dev {{dev}} proto static metric 4096"
                self.place.ip(f"route add {px.text(prefix)} {way}")
                return

    def theft(self) -> None:
        """A route claims a peer's gateway for another one."""
        victim, thief = self.dice.sample(ROUTED, 2)
        verb = self.dice.choice(("replace", "replace", "del"))
        self.place.ip(f"route {verb} {gateway(victim)}/128 via {gateway(thief)} dev {{dev}} proto bird metric 10")

    def flap(self) -> None:
        """The link goes down and up: its routes go, those of IPv4 without a word."""
        self.place.ip("link set {dev} down", "link set {dev} up")
        self.statics = {}

    # the device

    def recreate(self) -> None:
        """The device goes, or its program dies; another one has the name, the peers, and nothing else."""
        self.statics, self.pins, self.present = {}, {}, set(PEERS)
        self.place.recreate(violent=self.dice.random() < 0.5)

    def hang(self) -> None:
        """The userspace program says nothing for a while, in which routes go on."""
        self.place.stop(stopped=True)
        self.place.ip(*self.route_commands(3))
        time.sleep(self.dice.choice((0.05, 0.6)))
        self.place.stop(stopped=False)

    def pin(self) -> None:
        """Somebody pins prefixes, learned ones among them."""
        self.quiet()
        free = [prefix for prefix in UNIVERSE if prefix not in self.pins]
        here = sorted(set(PINNED) & self.present)
        if here:
            fresh = {prefix: self.dice.choice(here) for prefix in self.dice.sample(free, self.dice.randint(1, 3))}
            self.place.hand.give((prefix, PEERS[name]) for prefix, name in fresh.items())
            self.pins |= fresh
            self.quiet()  # a move right behind it may go unseen where readings are costly

    def unpin(self) -> None:
        """Somebody takes what was pinned. A ledger cannot tell a displaced pin that was taken from one that waits."""
        if self.yields and not self.alive:
            return
        self.quiet()
        held, seen = self.place.held(), self.place.seen()
        mine = [
            p for p, name in self.pins.items() if held.get(p) == name and not (self.yields and self.routed(p, seen))
        ]
        gone = self.dice.sample(sorted(mine), min(len(mine), self.dice.randint(1, 2)))
        self.place.hand.take((prefix, PEERS[self.pins.pop(prefix)]) for prefix in gone)

    def lose(self) -> None:
        """Somebody takes learned prefixes away; they are given again."""
        self.quiet()
        held = self.place.held()
        learned = [prefix for prefix in held if prefix in UNIVERSE and prefix not in self.pins]
        lost = self.dice.sample(sorted(learned), min(len(learned), 2))
        self.place.hand.take((prefix, PEERS[held[prefix]]) for prefix in lost)

    def seize(self) -> None:
        """Somebody moves a learned prefix to another peer, and in the same instant its routes go."""
        self.quiet()
        held, here = self.place.held(), sorted(set(PINNED) & self.present)
        learned = sorted(p for p, name in held.items() if p in UNIVERSE and p not in self.pins and name in ROUTED)
        if not learned or not here:
            return
        prefix, name = self.dice.choice(learned), self.dice.choice(here)
        gone = [  # one by one: to flush takes no route that names a nexthop object
            f"route del {px.text(prefix)} table {route.table} proto {route.protocol} metric {route.metric}"
            for route in self.place.seen().routes
            if route.prefix == prefix and route.protocol in ("bird", "babel")
        ]
        self.pins[prefix] = name
        if self.alive:
            self.sync()  # the device was read a moment ago
        self.place.hand.give([(prefix, PEERS[name])])
        self.place.ip(*gone)
        self.quiet()

    def peer_goes(self) -> None:
        """A peer is removed, with its prefixes."""
        name = self.dice.choice("abcde")
        if name not in self.present or (name in PINNED and not self.alive):
            return
        if name in PINNED:
            self.quiet()
        self.present.remove(name)
        self.pins = {prefix: other for prefix, other in self.pins.items() if other != name}
        self.place.hand.peers(PeerConfig(PEERS[name], remove=True))
        if name in PINNED and self.alive:
            self.sync()

    def peers_come(self) -> None:
        """Peers that were gone are there again, without prefixes."""
        gone = sorted(PEERS.keys() - self.present)
        self.place.add_peers(gone)
        self.present.update(gone)

    # the daemon

    def faults(self) -> None:
        """From now on kernel, device and disk are not what they were."""
        dice = self.dice
        for knob in (Knob.DEVICE, Knob.KERNEL, Knob.LEDGER, Knob.SLOW):
            self.page[knob] = dice.choice((0, 0, 30, 200))
        self.page[Knob.LOSS] = dice.choice((0, 0, 100, 400))
        self.page[Knob.SILENCE] = dice.choice((100, 300)) if self.silent else 0
        self.page[Knob.REFUSED] = sum(1 << number for number in dice.sample(range(len(UNIVERSE)), 4))

    def reload(self) -> None:
        """Other settings; or a broken file, which changes nothing."""
        if self.dice.random() < 0.2:
            self.daemon.config_path.write_text("interfaces: [")
            if self.alive:
                assert self.request("POST", "/v1/reload")["http_status"] == 400
            self.daemon.configure(self.config())
            return
        self.settings = settings(self.dice)
        self.daemon.configure(self.config())
        if self.alive and self.dice.random() < 0.5:
            self.daemon.reload()
        elif self.alive:
            self.request("POST", "/v1/reload")
