"""One WireGuard interface as the engine holds it: what was seen, what is ours, and what must be decided again.

`held` is the device's map of AllowedIPs as last seen or set by us. What of it is ours stands in the ledger; all else is
pinned. Small things (gateways, counts) are kept up as `held` and the ledger change; nothing here does I/O.
"""

from __future__ import annotations

from collections import Counter

from peerway.model import prefix as px
from peerway.model.device import AllowedIPs, Device
from peerway.model.gateways import Gateways
from peerway.model.keys import PublicKey
from peerway.model.ledger import Entry, Ledger, Op
from peerway.model.link import Link
from peerway.model.nexthops import Nexthops
from peerway.model.ownership import Verdict
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from peerway.model.selection import Reason, Selector


class Interface:
    """
    The state of one interface. `dirty` are the prefixes to decide again; `notes` the verdicts worth telling.
    """

    def __init__(self, link: Link, device: Device, policy: Policy, nexthops: Nexthops) -> None:
        self.link = link
        self.device = device
        self.policy = policy
        self.held: AllowedIPs = {}
        self.ledger = Ledger()
        self.dirty: set[Prefix] = set()
        self.small_dirty = True  # addresses are compared again
        self.unwritten: list[Entry] = []  # what others' changes made of the ledger, for the next plan to write
        self.notes: dict[Prefix, Verdict] = {}
        self.failures: dict[Prefix, str] = {}
        self.errors: dict[str, str] = {}  # last error of each activity, in words for `status`; gone when it heals
        self.counts: Counter[PublicKey] = Counter()  # learned prefixes of each peer
        self.over_limit: dict[PublicKey, set[Prefix]] = {}
        self._nexthops = nexthops
        self._hosts: dict[Prefix, PublicKey] = {}  # host-length AllowedIPs that are not ours
        self.gateways = Gateways()
        self.selector = Selector(link.ifindex, policy, self.gateways, nexthops)

    @property
    def name(self) -> str:
        """
        The interface's present name.
        """
        return self.link.name

    @property
    def ifindex(self) -> int:
        """
        The interface's index, which stays when it is renamed.
        """
        return self.link.ifindex

    def pinned(self, prefix: Prefix) -> PublicKey | None:
        """
        Who holds the prefix by somebody else's hand, at present or displaced.
        """
        waiting = self.ledger.displaced.get(prefix)
        if waiting is not None:
            return waiting
        return None if prefix in self.ledger.ours else self.held.get(prefix)

    def pinned_prefixes(self) -> set[Prefix]:
        """
        Every pinned prefix, displaced ones included.
        """
        return (self.held.keys() - self.ledger.ours.keys()) | self.ledger.displaced.keys()

    def learned(self, prefix: Prefix) -> PublicKey | None:
        """
        Who holds the prefix by ours.
        """
        return self.ledger.ours.get(prefix)

    def is_learned(self, prefix: Prefix) -> bool:
        """
        Whether a route gave the prefix: it is ours, and no derived address.
        """
        return prefix in self.ledger.ours and prefix not in self.gateways.derived

    def admit(self, prefix: Prefix, peer: PublicKey) -> Reason | None:
        """
        Why the peer may not learn the prefix; None if it may. Who has it already keeps it within the limit.
        """
        if self.policy.peers and not self.policy.peer(peer).accepts(prefix):
            return Reason.NOT_ACCEPTED
        limit = self.policy.max_prefixes
        if limit and self.ledger.ours.get(prefix) != peer and self.counts[peer] >= limit:
            return Reason.LIMIT
        return None

    # what was seen

    def observe(self, allowed_ips: AllowedIPs) -> set[Prefix]:
        """
        Take the device's map in the place of `held`. What differs was done by others: returns those prefixes.

        A prefix of ours that somebody moved is theirs from now on; one that they took away is no longer on record.
        """
        old = self.held
        if old == allowed_ips:
            return set()
        differ = {prefix for prefix, peer in allowed_ips.items() if old.get(prefix) != peer}
        differ.update(old.keys() - allowed_ips.keys())
        self.held = allowed_ips
        for prefix in differ:
            mine = self.ledger.ours.get(prefix)
            if mine is not None and allowed_ips.get(prefix) != mine:
                self.disown(prefix)
                self.unwritten.append((Op.DROPPED, prefix, mine))
                if prefix in allowed_ips:
                    self._forget_displaced(prefix)
            self.note_host(prefix)
        self.dirty |= differ
        return differ

    def hold(self, prefix: Prefix, peer: PublicKey | None) -> None:
        """
        Take one prefix as the device has it.
        """
        if peer is None:
            self.held.pop(prefix, None)
        else:
            self.held[prefix] = peer

    def _forget_displaced(self, prefix: Prefix) -> None:
        peer = self.ledger.displaced.pop(prefix, None)
        if peer is not None:
            self.unwritten.append((Op.RETURNED, prefix, peer))

    def own(self, prefix: Prefix, peer: PublicKey) -> None:
        """
        The prefix is ours at this peer.
        """
        self.disown(prefix)
        self.ledger.ours[prefix] = peer
        if prefix not in self.gateways.derived:
            self.counts[peer] += 1
        self.note_host(prefix)

    def disown(self, prefix: Prefix) -> None:
        """
        The prefix is no longer ours. Those that waited for the limit of its peer are decided again.
        """
        peer = self.ledger.ours.pop(prefix, None)
        if peer is not None and prefix not in self.gateways.derived:
            self.counts[peer] -= 1
            self.dirty |= self.over_limit.pop(peer, set())
        self.note_host(prefix)

    def forget_peers(self) -> set[Prefix]:
        """
        Drop displaced pins of peers that no longer exist. Returns their prefixes.
        """
        gone = {prefix for prefix, peer in self.ledger.displaced.items() if peer not in self.device.peers}
        for prefix in gone:
            self._forget_displaced(prefix)
        self.dirty |= gone
        return gone

    # what follows from it

    def recount(self) -> None:
        """
        Count the learned prefixes anew, after the ledger was read.
        """
        self.counts = Counter(peer for prefix, peer in self.ledger.ours.items() if prefix not in self.gateways.derived)
        self._hosts = {
            prefix: peer for prefix, peer in self.held.items() if px.is_host(prefix) and prefix not in self.ledger.ours
        }

    def note_host(self, prefix: Prefix) -> None:
        """
        Keep up the host-length AllowedIPs that are not ours, after `held` or the ledger changed.
        """
        if px.is_host(prefix):
            peer = self.held.get(prefix)
            if peer is None or prefix in self.ledger.ours:
                self._hosts.pop(prefix, None)
            else:
                self._hosts[prefix] = peer

    def refresh_gateways(self) -> set[Prefix]:
        """
        Compute the gateways anew. Returns the addresses that name other peers than before.
        """
        old = self.gateways
        new = Gateways(self.device.peers, self.policy.prefixes, self._hosts)
        changed = new.changed(old)
        if changed or new.derived.keys() != old.derived.keys():
            self.gateways = new
            self.reselect()
            self.counts = Counter(peer for prefix, peer in self.ledger.ours.items() if prefix not in new.derived)
            self.dirty |= changed
        return changed

    def reselect(self) -> None:
        """
        Forget what paths name: the policy, the gateways or nexthop objects changed.
        """
        self.selector = Selector(self.ifindex, self.policy, self.gateways, self._nexthops)
