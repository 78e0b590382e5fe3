"""The ledgers of all interfaces, between memory and store: read at the start, written ahead, kept short."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from peerway.model.interface import Interface
from peerway.model.ledger import Memory, Record
from peerway.model.ports import LedgerStore
from peerway.protocols.ledgerfile import HEADER, DamagedLedgerError, decode, encode

log = logging.getLogger(__name__)

SLACK = 1 << 16  # a ledger is rewritten when it has grown by this many bytes, and to four times its size


class Records:
    """
    Writes the ledger of each interface under a key that tells boot, namespace and interface index apart.
    """

    def __init__(self, store: LedgerStore, place: str) -> None:
        """
        `place` names this boot and network namespace: AllowedIPs do not outlive them.
        """
        self._store = store
        self._place = place
        self._sizes: dict[str, tuple[int, int]] = {}  # size when last rewritten, size now
        self._adopted: dict[str, bytes] = {}  # what could not be written when it was adopted, and must come first

    def _key(self, ifindex: int) -> str:
        return f"{self._place}-{ifindex}"

    def adopt(self, interface: Interface) -> None:
        """
        Read what a former process wrote, compare it with the device, and write the result down.

        A damaged ledger is put aside: nothing is taken for ours, so nothing of anybody is removed.
        """
        key = self._key(interface.ifindex)
        memory = Memory()
        try:
            memory.replay(decode(self._store.load(key)))
        except DamagedLedgerError as error:
            memory = Memory()
            log.warning("%s: %s; all its AllowedIPs count as pinned", interface.name, error)
        interface.ledger.settle(memory, interface.held, interface.device.peers)
        interface.recount()
        try:
            self.rewrite(interface)
        except OSError as error:  # the former ledger stays; it names too many prefixes, never too few
            self._adopted[key] = HEADER + encode(interface.ledger.records())
            interface.errors["ledger"] = f"cannot write the ledger: {error.strerror or error}"

    def rewrite(self, interface: Interface) -> None:
        """
        Write the present truth in the place of the history.
        """
        key = self._key(interface.ifindex)
        data = HEADER + encode(interface.ledger.records())
        self._replace(key, data)

    def _replace(self, key: str, data: bytes) -> None:
        self._store.replace(key, data)
        self._sizes[key] = (len(data), len(data))
        self._adopted.pop(key, None)

    def write(self, interface: Interface, records: Iterable[Record]) -> None:
        """
        Append records; they are in the store when this returns. Raises OSError when the store is full.
        """
        data = encode(records)
        if not data:
            return
        key = self._key(interface.ifindex)
        adopted = self._adopted.get(key)
        if adopted is not None:  # not the present truth: that has the plan in it already, and not what it replaces
            self._replace(key, adopted + data)
            return
        self._store.append(key, data)
        floor, size = self._sizes[key]
        self._sizes[key] = (floor, size + len(data))

    def tidy(self, interface: Interface) -> None:
        """
        Rewrite a ledger that has grown long. Only between batches: memory must say what the device has.
        """
        floor, size = self._sizes.get(self._key(interface.ifindex), (0, 0))
        if size > SLACK + 4 * floor:
            self.rewrite(interface)

    def forget(self, ifindex: int) -> None:
        """
        The interface is gone, or nothing on it is ours.
        """
        key = self._key(ifindex)
        self._store.delete(key)
        self._sizes.pop(key, None)
        self._adopted.pop(key, None)

    def forget_others(self, present: Iterable[int]) -> None:
        """
        Drop ledgers of this place whose interface is gone.
        """
        keep = {self._key(ifindex) for ifindex in present}
        for key in self._store.keys():  # noqa: SIM118 - a store is no mapping
            if key.startswith(f"{self._place}-") and key not in keep:
                self._store.delete(key)
