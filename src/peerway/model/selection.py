"""Selection: which peers the routes of a prefix name (DESIGN section 4, routes to AllowedIPs, rules 1, 2 and 4).

It knows nothing of what will make it true: AllowedIPs take one of the peers, other targets could take all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from peerway.model.gateways import Gateways
from peerway.model.keys import PublicKey
from peerway.model.nexthops import Nexthops
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from peerway.model.route import RTN_UNICAST, RTPROT_KERNEL, Path


class Reason(Enum):
    """
    Why a claim gave nothing, in words for people.
    """

    NO_GATEWAY = "the route has no gateway, so it names no peer"
    UNKNOWN_GATEWAY = "the gateway names no peer"
    AMBIGUOUS_GATEWAY = "the gateway names two peers"
    MULTIPATH = "multipath: WireGuard gives a prefix to one peer only"
    METRIC = "a route of this prefix that the kernel prefers goes to another peer"
    PINNED = "the prefix is pinned to another peer"
    YIELDED = "a route gives the prefix to another peer, and pinned ones yield here"
    GATEWAY = "the prefix is the gateway of a peer, which no route can take"
    NOT_ACCEPTED = "the peer's accept list does not have the prefix"
    LIMIT = "the peer already has max_prefixes learned prefixes"
    KERNEL = "WireGuard refused it"
    TABLE = "its table is not in `tables`"
    PROTOCOL = "its routing protocol is not in `protocols`"
    OWN = "the route is peerway's own"
    TYPE = "the route is not unicast"
    TOS = "the route is for one TOS only"
    ELSEWHERE = "the route does not leave through this interface"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    A next hop that names nobody, and why. `gateway` is None where there is none.
    """

    gateway: Prefix | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Named:
    """
    What one path names on one interface: peers with weights (higher is preferred), and next hops that name nobody.

    `skipped` tells why the path does not count at all.
    """

    peers: tuple[tuple[PublicKey, int], ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: Reason | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """
    The peers of the route that the kernel would use, with their weights; those of routes behind it; the problems.
    """

    path: Path | None = None
    peers: tuple[tuple[PublicKey, int], ...] = ()
    behind: tuple[PublicKey, ...] = ()
    problems: tuple[Problem, ...] = ()


NOTHING = Selection()


class Selector:
    """
    Selection on one interface, remembered per path: a new one is made when policy, gateways or nexthops change.
    """

    def __init__(self, ifindex: int, policy: Policy, gateways: Gateways, nexthops: Nexthops) -> None:
        self._ifindex = ifindex
        self._policy = policy
        self._gateways = gateways
        self._nexthops = nexthops
        self._tables = {table: rank for rank, table in enumerate(policy.tables)}
        self._named: dict[Path, Named] = {}
        self._single: dict[Path, Selection] = {}

    def named(self, path: Path) -> Named:
        """
        What a path names on this interface.
        """
        known = self._named.get(path)
        if known is None:
            known = self._named[path] = self._name(path)
        return known

    def _name(self, path: Path) -> Named:
        skipped = self._skipped(path)
        if skipped is not None:
            return Named(skipped=skipped)
        weights: dict[PublicKey, int] = {}
        problems: list[Problem] = []
        hops = [hop for hop in self._nexthops.resolve(path) if hop.ifindex == self._ifindex]
        for hop in hops:
            if hop.gateway is None:
                if path.protocol != RTPROT_KERNEL:  # the on-link route of an address is no claim of anybody
                    problems.append(Problem(None, Reason.NO_GATEWAY))
                continue
            peers = self._gateways.named(hop.gateway)
            if len(peers) == 1:
                (peer,) = peers
                weights[peer] = weights.get(peer, 0) + hop.weight
            else:
                reason = Reason.AMBIGUOUS_GATEWAY if peers else Reason.UNKNOWN_GATEWAY
                problems.append(Problem(hop.gateway, reason))
        return Named(tuple(weights.items()), tuple(problems), None if hops else Reason.ELSEWHERE)

    def _skipped(self, path: Path) -> Reason | None:
        if path.type != RTN_UNICAST:
            return Reason.TYPE
        if path.protocol == self._policy.route_protocol:
            return Reason.OWN
        if path.table not in self._tables:
            return Reason.TABLE
        if path.protocol not in self._policy.protocols:
            return Reason.PROTOCOL
        return Reason.TOS if path.tos else None

    def select(self, paths: tuple[Path, ...]) -> Selection:
        """
        The winner among the paths of one prefix, which come in the kernel's order: order of tables, then lowest
        metric, then the first.
        """
        if len(paths) == 1:
            known = self._single.get(paths[0])
            if known is None:
                known = self._single[paths[0]] = self._select(paths)
            return known
        return self._select(paths)

    def _select(self, paths: Iterable[Path]) -> Selection:
        counting = [path for path in paths if self.named(path).skipped is None]
        counting.sort(key=lambda path: (self._tables[path.table], path.source is not None, path.metric))
        problems = tuple(problem for path in counting for problem in self.named(path).problems)
        with_peers = [path for path in counting if self.named(path).peers]
        if not with_peers:
            return Selection(problems=problems) if problems else NOTHING
        best = with_peers[0]
        peers = self.named(best).peers
        chosen = {peer for peer, _ in peers}
        behind = dict.fromkeys(p for path in with_peers[1:] for p, _ in self.named(path).peers if p not in chosen)
        return Selection(best, peers, tuple(behind), problems)
