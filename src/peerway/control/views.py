"""What the engine holds, told: `status` and `routes`. Nothing is built whole that may be a million long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

from peerway.control.api import Json, UnknownError, UnusableError
from peerway.control.entries import Entries
from peerway.control.words import Names, timestamp
from peerway.features.council import Council
from peerway.model import prefix as px
from peerway.model.device import Peer
from peerway.model.health import Failure
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.world import World

VERSION = 1


class Views:
    """
    Readings of the World for people and programs.
    """

    def __init__(
        self, world: World, council: Council, names: Names, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        `clock` is the engine's.
        """
        self.world, self.council, self.names, self._clock = world, council, names, clock
        self._entries = Entries(world, council, names)

    def interface(self, name: str) -> Interface:
        """
        The interface of a name. Raises UnknownError.
        """
        found = self.world.by_name(name)
        if found is None:
            known = ", ".join(interface.name for interface in self.world.sorted_interfaces()) or "none"
            raise UnknownError(f"no WireGuard interface is called {name!r}; there is: {known}")
        return found

    def interfaces(self, name: str | None) -> list[Interface]:
        """
        One interface, or all.
        """
        return [self.interface(name)] if name is not None else list(self.world.sorted_interfaces())

    def peer(self, interface: Interface, text: str) -> PublicKey:
        """
        The peer that a name from the configuration, or the beginning of a public key, means.

        Raises UnknownError, and UnusableError where it means several.
        """
        named = {key for key in interface.device.peers if interface.policy.peer(key).name == text}
        found = named or {key for key in interface.device.peers if str(key).startswith(text)}
        if not found:
            raise UnknownError(
                f"{interface.name} has no peer {text!r}: give a name from the configuration, or a public key"
            )
        if len(found) > 1:
            raise UnusableError(f"{text!r} means {len(found)} peers of {interface.name}: give more of the key")
        return found.pop()

    def peer_name(self, interface: Interface, key: PublicKey) -> str:
        """
        The name from the configuration, else the short key.
        """
        return interface.policy.peer(key).name or key.short

    # status

    def status(self, name: str | None, peer: str | None) -> Json:
        """
        `peerway status --json`.
        """
        return {"version": VERSION, "interfaces": [self._status(item, peer) for item in self.interfaces(name)]}

    def _status(self, interface: Interface, peer: str | None) -> Json:
        device = interface.device
        keys = [self.peer(interface, peer)] if peer is not None else sorted(device.peers)
        failed = self._failed(interface)
        result: Json = {
            "name": interface.name,
            "backend": device.backend.value,
            "public_key": None if device.public_key is None else str(device.public_key),
            "state": self._state(interface),
            "counts": self.counts(interface),
            "peers": [self._peer(interface, device.peers[key], failed.get(key)) for key in keys],
        }
        errors = self._errors(interface)
        if errors:
            result["errors"] = errors
        return result

    def _state(self, interface: Interface) -> str:
        if interface.errors or interface.failures:
            return "degraded"
        return "syncing" if interface.dirty else "in-sync"

    def _errors(self, interface: Interface) -> list[str]:
        some = list(islice(interface.failures.items(), 10))
        more = len(interface.failures) - len(some)
        return [
            *interface.errors.values(),
            *(f"{px.text(prefix)}: {failure.reason}; {self._next(failure)}" for prefix, failure in some),
            *([f"and {more} prefixes more"] if more else []),
        ]

    def _next(self, failure: Failure) -> str:
        """When what failed is tried again, in words."""
        times = "once" if failure.attempts == 1 else f"{failure.attempts} times"
        return f"tried {times}, again in {self._wait(failure):.0f} s"

    def _wait(self, failure: Failure) -> float:
        return max(0.0, round(failure.due - self._clock(), 1))

    def _failed(self, interface: Interface) -> dict[PublicKey | None, Json]:
        """What failed of each peer: how many prefixes, the commonest error, how often it was tried, and the wait."""
        found: dict[PublicKey | None, Json] = {}
        for failure, count in sorted(interface.failures.counts().items(), key=lambda item: -item[1]):
            told = found.setdefault(
                failure.peer, {"prefixes": 0, "error": failure.reason, "attempts": 0, "retry_in": 0}
            )
            told["retry_in"] = min(told["retry_in"] or self._wait(failure), self._wait(failure))
            told["prefixes"] += count
            told["attempts"] = max(told["attempts"], failure.attempts)
        return found

    def counts(self, interface: Interface) -> dict[str, int]:
        """
        How many prefixes are what.
        """
        ours = interface.ledger.ours
        derived = sum(prefix in ours for prefix in interface.gateways.derived)
        notes = interface.notes.counts().items()
        found = {
            "learned": sum(interface.counts.values()),
            "pinned": len(interface.held) - len(ours) + len(interface.ledger.displaced),
            "derived": derived,
            "shadowed": sum(count * len(verdict.shadowed) for verdict, count in notes),
            "refused": sum(count * len(verdict.refused) for verdict, count in notes) + len(interface.failures),
            "unresolved": sum(count for verdict, count in notes if verdict.problems),
        }
        return found | ({"aggregated": len(ours) - derived} if interface.aggregated else {})

    def _peer(self, interface: Interface, peer: Peer, failed: Json | None) -> Json:
        result: Json = {
            "name": interface.policy.peer(peer.public_key).name or None,
            "public_key": str(peer.public_key),
            "gateways": [px.address_text(address) for address in interface.gateways.of(peer.public_key)],
            "endpoint": peer.endpoint or None,
            "latest_handshake": timestamp(peer.latest_handshake),
            "rx_bytes": peer.rx_bytes,
            "tx_bytes": peer.tx_bytes,
            "learned": interface.counts[peer.public_key],
        }
        if failed is not None:
            result["failed"] = failed
        return result

    # routes

    def routes(self, name: str | None) -> Iterator[str]:
        """
        The entries of `peerway routes --json` as JSON text, one by one.
        """
        for interface in self.interfaces(name):
            yield from self._entries.all(interface)

    def route(self, interface: Interface, prefix: Prefix) -> Json:
        """
        One prefix: owner, why, who is shadowed or refused and for what reason, as it was decided.
        """
        return self._entries.one(interface, prefix)
