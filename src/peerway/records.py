"""The ledgers of all interfaces, between memory and store: read at the start, written ahead, kept short."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from peerway.model.interface import Interface
from peerway.model.ledger import Memory, Record
from peerway.model.ports import LedgerStore
from peerway.protocols.ledgerfile import DamagedLedgerError, decode, encode, header

log = logging.getLogger(__name__)

SLACK = 1 << 16  # a ledger is rewritten when it has grown by this many bytes, and to four times its size


@dataclass(slots=True)
class _File:
    """A ledger in the store: its size when it was last rewritten, its size now, and its checksum (ledgerfile)."""

    floor: int
    size: int
    check: int


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
        self._files: dict[str, _File] = {}
        self._adopted: dict[str, list[Record]] = {}  # what could not be written when it was adopted; must come first

    def _key(self, ifindex: int) -> str:
        return f"{self._place}-{ifindex}"

    def adopt(self, interface: Interface) -> None:
        """
        Read what a former process wrote, compare it with the device, and write the result down.

        A ledger that is damaged or cannot be read counts as empty: nothing is taken for ours, so nothing is removed.
        """
        key = self._key(interface.ifindex)
        memory = Memory()
        try:
            memory.replay(decode(self._store.load(key), key))
        except (DamagedLedgerError, OSError) as error:
            memory = Memory()
            log.warning("%s: %s; all its AllowedIPs count as pinned", interface.name, _words(error))
        interface.ledger.settle(memory, interface.held, interface.device.peers)
        interface.recount()
        try:
            self.rewrite(interface)
        except OSError as error:  # the former ledger stays; it names too many prefixes, never too few
            self._adopted[key] = interface.ledger.records()
            interface.errors["ledger"] = f"cannot write the ledger: {error.strerror or error}"

    def rewrite(self, interface: Interface) -> None:
        """
        Write the present truth in the place of the history.
        """
        self._replace(self._key(interface.ifindex), interface.ledger.records())

    def _replace(self, key: str, *blocks: Iterable[Record]) -> None:
        data = header(key)
        check = zlib.crc32(data)
        for records in blocks:
            block, check = encode(records, check)
            data += block
        self._store.replace(key, data)
        self._files[key] = _File(len(data), len(data), check)
        self._adopted.pop(key, None)

    def write(self, interface: Interface, records: Iterable[Record]) -> None:
        """
        Append records; they are in the store when this returns. Raises OSError when the store is full.
        """
        news = [*records]
        if not news:
            return
        key = self._key(interface.ifindex)
        adopted = self._adopted.get(key)
        if adopted is not None:  # not the present truth: that has the plan in it already, and not what it replaces
            self._replace(key, adopted, news)
            return
        file = self._files[key]
        data, check = encode(news, file.check)
        self._store.append(key, data)
        file.size += len(data)
        file.check = check

    def tidy(self, interface: Interface) -> None:
        """
        Rewrite a ledger that has grown long. Only between batches: memory must say what the device has.
        """
        file = self._files.get(self._key(interface.ifindex))
        if file is not None and file.size > SLACK + 4 * file.floor:
            self.rewrite(interface)

    def forget(self, ifindex: int) -> None:
        """
        The interface is gone, or nothing on it is ours.
        """
        key = self._key(ifindex)
        self._store.delete(key)
        self._files.pop(key, None)
        self._adopted.pop(key, None)

    def forget_others(self, present: Iterable[int]) -> None:
        """
        Drop ledgers of this place whose interface is gone.
        """
        keep = {self._key(ifindex) for ifindex in present}
        for key in self._store.keys():  # noqa: SIM118 - a store is no mapping
            if key.startswith(f"{self._place}-") and key not in keep:
                self._store.delete(key)


def _words(error: DamagedLedgerError | OSError) -> str:
    return f"cannot read the ledger: {error.strerror or error}" if isinstance(error, OSError) else str(error)
