"""Who wins a prefix (DESIGN section 4). One pure function over all claims to it; no state, no order of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from peerway.model.keys import PublicKey
from peerway.model.policy import Pinned
from peerway.model.selection import NOTHING, Problem, Reason, Selection


class Origin(Enum):
    """
    Where an owner's claim comes from.
    """

    DERIVED = "derived"
    PINNED = "pinned"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True)
class Claims:
    """
    All claims to one prefix.

    `is_gateway`: the prefix is a gateway's address; `derived`: the peer whose derived address it is; `pinned`: who
    holds it by somebody else's hand, at present or displaced; `learned`: who holds it by ours at present.
    """

    is_gateway: bool = False
    derived: PublicKey | None = None
    pinned: PublicKey | None = None
    learned: PublicKey | None = None
    selection: Selection = NOTHING


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The owner of a prefix and why; who lost (`shadowed`), who may not (`refused`), which next hops name nobody.

    `displaced` is the pinned peer that has to wait while a route has the prefix.
    """

    owner: PublicKey | None = None
    origin: Origin | None = None
    displaced: PublicKey | None = None
    shadowed: tuple[tuple[PublicKey, Reason], ...] = ()
    refused: tuple[tuple[PublicKey, Reason], ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def remarkable(self) -> bool:
        """
        Whether an operator should see more than the owner.
        """
        return bool(self.shadowed or self.refused or self.problems)


Admit = Callable[[PublicKey], Reason | None]


def decide(claims: Claims, admit: Admit, pinned_policy: Pinned) -> Verdict:
    """
    Gateways first; then pinned before learned or, with `pinned: yields`, learned before pinned.

    `admit` tells why a peer may not learn the prefix (accept list, limit), None if it may.
    """
    selection = claims.selection
    asking = () if claims.is_gateway else selection.peers  # nobody can learn a gateway
    refused = {peer: reason for peer, _ in asking if (reason := admit(peer)) is not None}
    learner = _learner(claims, set(refused), admit)
    owner, origin = _winner(claims, learner, pinned_policy)
    shadowed = _shadowed(claims, owner, origin, set(refused))
    displaced = claims.pinned if origin is Origin.LEARNED else None
    if owner is not None:
        refused.pop(owner, None)  # who has it by another claim lacks nothing
    return Verdict(owner, origin, displaced, shadowed, tuple(refused.items()), selection.problems)


def _learner(claims: Claims, refused: set[PublicKey], admit: Admit) -> PublicKey | None:
    """
    Rule 3: the present owner if it is among the peers, else the highest weight, else the lowest key. Where all are
    refused, what was there stays: a learned owner that the routes no longer name keeps the prefix, if it still may.
    """
    peers = claims.selection.peers
    allowed = [(peer, weight) for peer, weight in peers if peer not in refused]
    if not allowed:
        stays = peers and claims.learned is not None and admit(claims.learned) is None
        return claims.learned if stays else None
    present = claims.learned if claims.learned is not None else claims.pinned
    if any(peer == present for peer, _ in allowed):
        return present
    return min(allowed, key=lambda item: (-item[1], item[0]))[0]


def _winner(claims: Claims, learner: PublicKey | None, policy: Pinned) -> tuple[PublicKey | None, Origin | None]:
    if claims.is_gateway or policy is Pinned.WINS or learner == claims.pinned:
        if claims.pinned is not None:
            return claims.pinned, Origin.PINNED
        if claims.derived is not None:
            return claims.derived, Origin.DERIVED
        if claims.is_gateway:
            return None, None
    if learner is not None:
        return learner, Origin.LEARNED
    return (claims.pinned, Origin.PINNED) if claims.pinned is not None else (None, None)


def _shadowed(
    claims: Claims, owner: PublicKey | None, origin: Origin | None, refused: set[PublicKey]
) -> tuple[tuple[PublicKey, Reason], ...]:
    losers: dict[PublicKey, Reason] = {}
    if origin is Origin.LEARNED and claims.pinned is not None:
        losers[claims.pinned] = Reason.YIELDED
    if claims.is_gateway:
        why = Reason.GATEWAY
    elif origin is Origin.PINNED:
        why = Reason.PINNED
    else:
        why = Reason.MULTIPATH
    for peer, _ in claims.selection.peers:
        if peer not in refused:
            losers.setdefault(peer, why)
    for peer in claims.selection.behind:
        losers.setdefault(peer, Reason.METRIC)
    losers.pop(owner, None) if owner is not None else None
    return tuple(losers.items())
