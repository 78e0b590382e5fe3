"""One WireGuard interface as the engine holds it: what was seen, what is ours, and what must be decided again.

`held` is the device's map of AllowedIPs as last seen or set by us. What of it is ours stands in the ledger; all else is
pinned. Small things (gateways, counts) are kept up as `held` and the ledger change; nothing here does I/O.
"""

from __future__ import annotations

import sys
from collections import Counter

from peerway.model import columns as cl
from peerway.model.aggregated import Aggregated
from peerway.model.columns import Column
from peerway.model.decision import Decision, Standing
from peerway.model.device import AllowedIPs, Device
from peerway.model.gateways import Gateways
from peerway.model.health import Failure, Health
from peerway.model.keys import PublicKey
from peerway.model.ledger import Ledger, Op, Record
from peerway.model.link import Link
from peerway.model.nexthops import Nexthops
from peerway.model.ownership import Origin, Verdict
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from peerway.model.prefixset import PrefixSet
from peerway.model.selection import Reason, Selector
from peerway.model.table import Table


class Interface:
    """
    The state of one interface. `dirty` are the prefixes to decide again; `notes` the verdicts worth telling.
    """

    def __init__(self, link: Link, device: Device, policy: Policy, nexthops: Nexthops) -> None:
        self.link = link
        self.ifindex = link.ifindex  # which stays when it is renamed
        self.device = device
        self.policy = policy
        self.held: AllowedIPs = Table()
        self.ledger = Ledger()
        self.dirty = PrefixSet()
        self.small_dirty = True  # addresses are compared again
        self.unwritten: list[Record] = []  # what others' changes made of the ledger, for the next plan to write
        self.notes: Table[Verdict] = Table()
        self.health = Health()
        self.errors: dict[str, str] = {}  # last error of each activity, in words for `status`; gone when it heals
        self.counts: Counter[PublicKey] = Counter()  # learned prefixes of each peer
        self._nexthops = nexthops
        self.gateways = Gateways()
        self.selector = Selector(link.ifindex, policy, self.gateways, nexthops)
        self.decisions: dict[object, Decision] = {}  # by situation, while nothing else changes
        self.aggregated = Aggregated() if policy.aggregate else None

    @property
    def name(self) -> str:
        """
        The interface's present name.
        """
        return self.link.name

    @property
    def failures(self) -> Table[Failure]:
        """
        What was refused.
        """
        return self.health.failures

    def pinned(self, prefix: Prefix) -> PublicKey | None:
        """
        Who holds the prefix by somebody else's hand, at present or displaced.
        """
        waiting = self.ledger.displaced.look(prefix)
        if waiting is not None:
            return waiting
        return None if prefix in self.ledger.ours else self.held.look(prefix)

    def pinned_prefixes(self) -> list[Column]:
        """
        Every pinned prefix, displaced ones included.
        """
        found = PrefixSet()
        found.add_columns(self.ledger.displaced.columns())
        found.add_columns(column[self.ledger.ours.find(column) == 0] for column in self.held.columns())
        return found.drain()

    def standing(self, prefix: Prefix) -> Standing:
        """
        Whose the prefix is at present.
        """
        displaced = self.ledger.displaced
        return Standing(
            self.ledger.ours.look(prefix), displaced.look(prefix) if displaced else None, self.held.look(prefix)
        )

    def learned(self, prefix: Prefix) -> PublicKey | None:
        """
        Who was given the prefix by us.
        """
        return (self.aggregated.given if self.aggregated else self.ledger.ours).look(prefix)

    def tables(self) -> list[Table[PublicKey]]:
        """
        All that a verdict depends on beside the routes.
        """
        tables = [self.held, self.ledger.ours, self.ledger.displaced]
        return [*tables, self.aggregated.given, self.aggregated.entries] if self.aggregated else tables

    def admit(self, prefix: Prefix, peer: PublicKey) -> Reason | None:
        """
        Why the peer may not learn the prefix; None if it may. Who has it already, learned or pinned, needs no place.
        """
        if self.policy.peers and not self.policy.peer(peer).accepts(prefix):
            return Reason.NOT_ACCEPTED
        limit = self.policy.max_prefixes
        if limit and self.counts[peer] >= limit and peer not in (self.learned(prefix), self.pinned(prefix)):
            return Reason.LIMIT
        return None

    def room(self, standing: Standing, verdict: Verdict) -> int:
        """
        For how many prefixes in one situation the verdict holds: as many as the owner may still learn.
        """
        limit, owner = self.policy.max_prefixes, verdict.owner
        if not limit or owner is None or verdict.origin is not Origin.LEARNED or standing.mine == owner:
            return sys.maxsize
        return max(1, limit - self.counts[owner])

    # what was seen

    def observe(self, allowed_ips: AllowedIPs) -> list[Column]:
        """
        Take the device's map in the place of `held`. What differs was done by others: returns those prefixes.

        A prefix of ours that somebody moved is theirs from now on; one that they took away is no longer on record.
        """
        differ = self.held.differing(allowed_ips)
        if not differ:
            self.held.share(allowed_ips)  # the device's reader remembers that column, so there are no two of them
            return differ
        self.held = allowed_ips
        for column in differ:
            for mine, part in self.ledger.ours.groups(column):
                for owner, lost in allowed_ips.groups(part) if mine is not None else ():
                    if mine is not None and owner != mine:
                        self.disown(lost, mine)
                        self.let_in({mine})
                        self.ledger.ours.put(lost, None)
                        self.unwritten.append(Record(Op.DROPPED, mine, lost))
                        if owner is not None:
                            self._forget_displaced(lost)
        self.dirty.add_columns(differ)
        return differ

    def hold(self, column: Column, allowed_ips: AllowedIPs) -> None:
        """
        Take some prefixes as a reading of the device has them.
        """
        self.held.put_groups([*allowed_ips.groups(column)])

    def _forget_displaced(self, column: Column) -> None:
        groups = [*self.ledger.displaced.groups(column)]
        self.unwritten += [Record(Op.RETURNED, peer, part) for peer, part in groups if peer is not None]
        self.ledger.displaced.put(column, None)

    def own(self, column: Column, peer: PublicKey) -> None:
        """
        Count prefixes that become ours at a peer. What aggregation makes of prefixes does not count, they do.
        """
        if not self.aggregated:
            self.count(column, peer, 1)

    def disown(self, column: Column, peer: PublicKey) -> None:
        """
        Count prefixes that are no longer ours at a peer.
        """
        if not self.aggregated:
            self.count(column, peer, -1)

    def count(self, column: Column, peer: PublicKey, sign: int) -> None:
        """
        Count prefixes that a peer learns (1), or no longer has (-1).
        """
        self.counts[peer] += sign * self._learnable(column)

    def let_in(self, peers: set[PublicKey]) -> None:
        """
        Decide those again that waited for the limit of a peer that has lost prefixes.
        """
        if self.policy.max_prefixes and peers:
            notes = self.notes.counts()
            waiting = [note for note in notes if any((peer, Reason.LIMIT) in note.refused for peer in peers)]
            self.dirty.add_columns(self.notes.having(waiting))

    def _learnable(self, column: Column) -> int:
        """How many of these prefixes are no derived addresses."""
        if len(column) == 1:
            return int(cl.first(column) not in self.gateways.derived)
        hosts = column[cl.hosts(column)]
        return len(column) - sum(prefix in self.gateways.derived for prefix in cl.each(hosts))

    def forget_peers(self) -> list[Column]:
        """
        Drop displaced pins of peers that no longer exist. Returns their prefixes.
        """
        waiting = self.ledger.displaced
        gone = waiting.having(peer for peer in waiting.counts() if peer not in self.device.peers)
        for column in gone:
            self._forget_displaced(column)
        self.dirty.add_columns(gone)
        return gone

    # what follows from it

    def recount(self) -> None:
        """
        Count the learned prefixes anew, after the ledger was read or the derived addresses have changed.
        """
        ours = self.aggregated.given if self.aggregated else self.ledger.ours
        self.counts = Counter(ours.counts())
        for prefix in self.gateways.derived:
            peer = ours.look(prefix)
            if peer is not None:
                self.counts[peer] -= 1

    def _hosts(self) -> dict[Prefix, PublicKey]:
        """Host-length AllowedIPs that are not ours."""
        found: dict[Prefix, PublicKey] = {}
        for column in self.held.columns():
            hosts = column[cl.hosts(column)]
            for peer, part in self.held.groups(hosts[self.ledger.ours.find(hosts) == 0]):
                if peer is not None:
                    found.update(dict.fromkeys(cl.each(part), peer))
        return found

    def refresh_gateways(self) -> set[Prefix]:
        """
        Compute the gateways anew. Returns the addresses that name other peers than before.
        """
        old = self.gateways
        new = Gateways(self.device.peers, self.policy.prefixes, self._hosts())
        changed = new.changed(old)
        if changed or new.derived.keys() != old.derived.keys():
            self.gateways = new
            self.reselect()
            self.recount()
            self.dirty.update(changed)
        return changed

    def set_policy(self, policy: Policy) -> None:
        """
        Take other settings.
        """
        turned = policy.aggregate != self.policy.aggregate
        self.policy = policy
        self.small_dirty = True
        if turned:
            self.aggregated = Aggregated() if policy.aggregate else None
            self.recount()
        self.refresh_gateways()
        self.reselect()

    def reselect(self) -> None:
        """
        Forget what paths name, and what was decided: the policy, the gateways or nexthop objects changed.
        """
        self.decisions = {}
        self.selector = Selector(self.ifindex, self.policy, self.gateways, self._nexthops)
