"""Killed at any instant, a daemon that starts again ends where one that never died would be, and took nothing foreign.

A random history of routes, peers and AllowedIPs, with real programs and a real WireGuard. Its model is naive: it knows
what users did, and says who owns each prefix; it knows nothing of notifications, ledgers or plans. PEERWAY_SEED repeats
what happens, though not the instants in which the daemon is when it dies.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.ledger import Memory
from peerway.model.prefix import Prefix
from peerway.model.setup import PeerConfig
from peerway.protocols.ledgerfile import decode
from tests.harness import naive
from tests.harness.daemon import Daemon
from tests.harness.hand import Hand

GUEST = bool(os.environ.get("IN_GUEST"))
KILLS = 12 if GUEST else 50  # by each policy
BURST = 200 if GUEST else 1000  # routes
PEERS = {name: PublicKey(bytes([number]) * 32) for number, name in enumerate("abcde", 1)}
NAMES = {key: name for name, key in PEERS.items()}
ROUTED, PINNED = "abc", "de"  # a prefix that is pinned where a route already has it looks like the route's
LINK_LOCAL = px.parse("fe80::/64")
METRICS = (10, 20)
CONTESTED = px.parse("10.9.0.0/24")  # somebody else has a route here where ours would be
FOREIGN_NET = px.parse("10.253.0.0/16")
FOREIGN = (
    "address add 192.0.2.9/32 dev lo",
    "address add 10.250.0.1/24 dev {dev}",
    "route add blackhole 10.251.0.0/16",
    "route add 10.252.0.0/16 dev lo table 100",
    "route add 10.252.0.0/16 dev lo proto static metric 4096",
    f"route add {px.text(CONTESTED)} dev lo proto static metric 4096",
    "route add blackhole 2001:db8:251::/48",
)
UNIVERSE = [
    CONTESTED,
    *map(px.parse, ("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0")),
    *(px.parse(f"10.{number}.0.0/16") for number in range(1, 20)),
    *(px.parse(f"10.{number >> 4}.{number & 15}.0/24") for number in range(300)),
    *(px.parse(f"2001:db8:{number}::/48") for number in range(1, 40)),
]


def gateway(name: str) -> str:
    return px.address_text(derived_address(LINK_LOCAL, PEERS[name]))


class History:
    """What users did, and what follows from it."""

    def __init__(self, dice: random.Random, wg: WireGuard, batch: Path, *, yields: bool) -> None:
        self.dice, self.wg, self.batch, self.yields = dice, wg, batch, yields
        self.hand = Hand(wg)
        self.present = set(PEERS)
        self.pins: dict[Prefix, str] = {FOREIGN_NET: "d"}
        self.routes: dict[tuple[Prefix, int], tuple[str, ...]] = {}
        self.told: list[str] = []
        self.hand.peers(*map(PeerConfig, PEERS.values()))
        self.hand.give([(FOREIGN_NET, PEERS["d"])])
        wg.namespace.batch(line.format(dev=wg.name) for line in FOREIGN)

    # what users do

    def route_commands(self, count: int) -> list[str]:
        """That many changes of routes, in the words of ip(8); the model takes them at once."""
        return [self._flap() if self.dice.random() < 0.003 else self._route() for _ in range(count)]

    def _route(self) -> str:
        prefix, metric = self.dice.choice(UNIVERSE), self.dice.choice(METRICS)
        if (prefix, metric) in self.routes and self.dice.random() < 0.5:
            del self.routes[prefix, metric]
            return f"route del {px.text(prefix)} metric {metric}"
        peers = tuple(self.dice.sample(ROUTED, self.dice.choice((1, 1, 1, 2))))
        self.routes[prefix, metric] = peers
        inet6 = "" if px.family(prefix) == px.AF_INET6 else "inet6 "
        hops = [f"via {inet6}{gateway(peer)} dev {self.wg.name}" for peer in peers]
        way = hops[0] if len(hops) == 1 else " ".join(f"nexthop {hop}" for hop in hops)
        return f"route replace {px.text(prefix)} metric {metric} proto bird {way}"

    def _flap(self) -> str:
        self.routes.clear()
        return f"link set {self.wg.name} down\nlink set {self.wg.name} up"

    def change_allowed_ips(self, unclear: Collection[Prefix] = ()) -> None:
        """Pin some prefixes, take some pinned ones back, but not the unclear ones, and some learned ones away."""
        held, dice = self.hand.read(), self.dice
        here = sorted(set(PINNED) & self.present)
        free = [prefix for prefix in UNIVERSE if prefix not in self.pins]
        fresh = {prefix: dice.choice(here) for prefix in dice.sample(free, dice.randint(0, 6))} if here else {}
        pinned = [prefix for prefix, name in self.pins.items() if held.get(prefix) == PEERS[name]]
        clear = sorted(set(pinned) - {FOREIGN_NET, *unclear})
        old = dice.sample(clear, min(len(clear), dice.randint(0, 4)))
        # Not what is pinned now: peerway gives again what is taken away, and WireGuard knows no "if nobody has it".
        learned = sorted(prefix for prefix in held if prefix in UNIVERSE and prefix not in {**self.pins, **fresh})
        lost = dice.sample(learned, min(len(learned), dice.randint(0, 3)))
        self.hand.take((prefix, held[prefix]) for prefix in [*old, *lost])
        self.hand.give((prefix, PEERS[name]) for prefix, name in fresh.items())
        for prefix in old:
            del self.pins[prefix]
        self.pins |= fresh
        self.told.append(f"{len(fresh)} pinned, {len(old)} unpinned, {len(lost)} taken away")

    def change_peers(self, *, back: bool) -> None:
        """A peer goes, or with `back` one that was gone is there again, as a new one without prefixes."""
        name = self.dice.choice("ce")
        if name in self.present:
            self.present.remove(name)
            self.pins = {prefix: other for prefix, other in self.pins.items() if other != name}
            self.hand.peers(PeerConfig(PEERS[name], remove=True))
            self.told.append(f"{name} goes")
        elif back:
            self.present.add(name)
            self.hand.peers(PeerConfig(PEERS[name]))
            self.told.append(f"{name} is back")

    # what must be

    def held(self) -> dict[Prefix, str]:
        """What the device holds."""
        return {prefix: NAMES[key] for prefix, key in self.hand.read().items()}

    def routed(self, prefix: Prefix) -> set[str]:
        """The peers of the best route that names any."""
        return naive.routed((metric, set(self.routes.get((prefix, metric), ())) & self.present) for metric in METRICS)

    def misplaced(self, held: dict[Prefix, str]) -> dict[str, str]:
        """What is not at whom it should be."""
        wrong = {}
        for prefix in {*UNIVERSE, FOREIGN_NET, *held}:
            allowed = naive.owners(self.pins.get(prefix), self.routed(prefix), yields=self.yields)
            if px.is_link_local(prefix):
                allowed = {name for name in self.present if derived_address(LINK_LOCAL, PEERS[name]) == prefix}
            owner = held.get(prefix)
            if owner not in allowed and (allowed or owner):
                wrong[px.text(prefix)] = f"at {owner}, not {' or '.join(sorted(allowed)) or 'nobody'}"
        return wrong

    def own_routes(self) -> dict[str, str]:
        """The routes that peerway should have, with their gateways."""
        nobodys = {px.parse("0.0.0.0/0"), px.parse("::/0"), CONTESTED}
        return {px.text(prefix): gateway(name) for prefix, name in self.pins.items() if prefix not in nobodys}


class Place:
    """The namespace as `ip` and `wg` show it."""

    def __init__(self, wg: WireGuard) -> None:
        self.wg, self.namespace = wg, wg.namespace
        self.foreign = self.strangers()

    def held(self) -> dict[Prefix, str]:
        shown = self.wg.allowed_ips().items()
        return {px.parse(prefix): NAMES[PublicKey.parse(key)] for key, prefixes in shown for prefix in prefixes}

    def routes(self) -> tuple[dict[str, str], set[tuple[Prefix, int]]]:
        """Peerway's own routes with their gateways, and the users' ones."""
        own, users = {}, set()
        for family, zero in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
            for route in json.loads(self.namespace.ip("-j", family, "route", "show", "table", "main") or "[]"):
                prefix = px.text(px.parse(zero if route["dst"] == "default" else route["dst"]))
                if route.get("protocol") == "87":
                    own[prefix] = route.get("gateway") or route["via"]["host"]
                elif route.get("protocol") == "bird":
                    users.add((px.parse(prefix), route["metric"]))
        return own, users

    def strangers(self) -> list[str]:
        """Everybody else's routes and addresses."""
        lines = self.namespace.ip("-4", "route", "show", "table", "all").splitlines()
        lines += self.namespace.ip("-6", "route", "show", "table", "all", "type", "blackhole").splitlines()
        lines += self.namespace.ip("-4", "-br", "address").splitlines()
        ours = ("proto 87", "proto bird", "nexthop", "dead", "linkdown")
        return sorted(line for line in lines if not any(word in line for word in ours))


class Killing:
    """The course of one history: alive, killed in the middle, dead, alive again."""

    def __init__(self, history: History, place: Place, daemon: Daemon) -> None:
        self.history, self.place, self.daemon, self.dice = history, place, daemon, history.dice
        self.instant = 1.0  # seconds within which a big batch was done
        self.interrupted = 0

    def sync(self) -> None:
        self.daemon.request("POST", "/v1/sync")

    def round(self) -> None:
        """Live, die, be dead, live again."""
        history, dice = self.history, self.dice
        history.told = []
        if dice.random() < 0.5:
            history.change_allowed_ips()
        if dice.random() < 0.3:
            history.change_peers(back=True)
        self.sync()
        self._die_in_the_middle()
        if dice.random() < 0.5:
            history.change_allowed_ips(self._unclear())
        if dice.random() < 0.2:
            history.change_peers(back=False)
        history.wg.namespace.batch(history.route_commands(dice.choice((1, 20))))
        if dice.random() < 0.3:
            self._die_at_the_start()
        self.daemon.start()

    def _die_in_the_middle(self) -> None:
        count = self.dice.choice((BURST // 30, BURST // 3, BURST))
        self._write(self.history.route_commands(count))
        after = self.dice.uniform(0, self.instant * count / BURST)
        self.history.told.append(f"killed {after:.3f} s after the first of {count} routes")
        batch = self.history.wg.namespace.popen("ip", "-batch", str(self.history.batch))
        time.sleep(after)
        self.daemon.kill()
        assert batch.wait() == 0
        self.interrupted += bool(self.history.misplaced(self.history.held()))

    def _die_at_the_start(self) -> None:
        after = self.dice.uniform(0, self.instant)
        self.history.told.append(f"killed {after:.3f} s after its start")
        self.daemon.start(wait=False)
        time.sleep(after)
        self.daemon.kill()

    def _unclear(self) -> set[Prefix]:
        """Pins of which the ledger of the dead cannot tell whether they wait or were given back."""
        memory = Memory()
        for ledger in (self.daemon.home / "state").glob("*.ledger"):
            memory.replay(decode(ledger.read_bytes(), ledger.stem))
        return memory.displaced.keys() | memory.displacing.keys()

    def _write(self, commands: list[str]) -> None:
        self.history.batch.write_text("\n".join(commands) + "\n")

    def measure(self) -> None:
        """How long a big batch takes here."""
        begin = time.monotonic()
        self._write(self.history.route_commands(BURST))
        self.history.wg.namespace.run("ip", "-batch", str(self.history.batch))
        self.sync()
        self.instant = time.monotonic() - begin

    def check(self, *, thorough: bool) -> None:
        """The state of things; `thorough`: by the eyes of wg, and what is foreign too, which costs processes."""
        history, place = self.history, self.place
        self.daemon.settle(lambda: not history.misplaced(history.held()), what="each prefix at its peer")
        wanted = (history.own_routes(), set(history.routes))
        self.daemon.settle(lambda: place.routes() == wanted, what=f"these routes, ours and the users': {wanted}")
        drift = self.daemon.request("POST", "/v1/verify")["differences"]
        assert [line for line in drift if px.text(CONTESTED) not in line] == []
        if thorough:
            assert not history.misplaced(place.held())
            assert place.strangers() == place.foreign


@pytest.mark.parametrize("pinned", ["wins", "yields"])
def test_killed_at_any_instant(
    wg: WireGuard, namespace: Namespace, daemon: Callable[..., Daemon], tmp_path: Path, pinned: str
) -> None:
    """After each of many deaths the restarted daemon has everything where the rules say; only what is ours moved."""
    seed = int(os.environ.get("PEERWAY_SEED") or random.randrange(1 << 32))
    print(f"PEERWAY_SEED={seed}")
    history = History(random.Random(seed), wg, tmp_path / "batch", yields=pinned == "yields")
    place = Place(wg)
    running = Killing(history, place, daemon(namespace, {"interfaces": {"*": {"pinned": pinned}}}))
    running.measure()
    running.check(thorough=True)
    for number in range(KILLS):
        try:
            running.round()
            running.check(thorough=not GUEST or number == KILLS - 1)
        except AssertionError as error:
            told = "\n".join(f"  {line}" for line in [*history.told, json.dumps(history.misplaced(place.held()))])
            raise AssertionError(f"PEERWAY_SEED={seed}, death {number}:\n{told}\n{error}") from error
    print(f"{KILLS} deaths, {running.interrupted} of them in the middle of work")
