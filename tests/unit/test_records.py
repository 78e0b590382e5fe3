"""Records: the ledgers of interfaces in a store, through full disks, damage and restarts."""

from __future__ import annotations

import errno
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from peerway.model import prefix as px
from peerway.model.device import Backend, Device, Peer
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ledger import Ledger, Memory, Op
from peerway.model.link import Link
from peerway.model.nexthops import Nexthops
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from peerway.model.table import Table
from peerway.protocols.ledgerfile import decode, header
from peerway.records import SLACK, Records
from tests.harness.columns import Entry, recorded
from tests.harness.memory import Fate, MemoryStore
from tests.harness.site import WG, key
from tests.harness.small import own as give

PEERS = [key(number) for number in range(1, 5)]
A, B, C, D = PEERS
NETS = [px.parse(f"10.{number}.0.0/16") for number in range(4)]
NET = NETS[0]
KEY = f"boot-{WG}"
HEADER = header(KEY)
ENTRIES = st.lists(st.tuples(st.sampled_from(Op), st.sampled_from(NETS), st.sampled_from(PEERS)), max_size=12)
MAPS = st.dictionaries(st.sampled_from(NETS), st.sampled_from(PEERS))


class Store(MemoryStore):
    """A store that may be full."""

    def __init__(self) -> None:
        super().__init__(Fate())
        self.full = False

    @override
    def append(self, key: str, data: bytes) -> None:
        self._check()
        super().append(key, data)

    @override
    def replace(self, key: str, data: bytes) -> None:
        self._check()
        super().replace(key, data)

    def _check(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


def interface(held: dict[Prefix, PublicKey] | None = None) -> Interface:
    device = Device("wg0", WG, Backend.KERNEL, key(100), peers={peer: Peer(peer) for peer in PEERS})
    made = Interface(Link(WG, "wg0", "wireguard", up=True), device, Policy(), Nexthops())
    made.held = Table(held or {})
    return made


def read(store: Store) -> Memory:
    memory = Memory()
    memory.replay(decode(store.data.get(KEY, b""), KEY))
    return memory


def adopted(store: Store, held: dict[Prefix, PublicKey]) -> Interface:
    """What a new process makes of the store."""
    fresh = interface(held)
    Records(store, "boot").adopt(fresh)
    return fresh


@given(ENTRIES, MAPS)
def test_what_was_written_is_what_a_new_process_knows(listed: list[Entry], held: dict[Prefix, PublicKey]) -> None:
    """A new process reads the entries in their order, and settles them with the device."""
    store, own = Store(), interface()
    records = Records(store, "boot")
    records.adopt(own)
    memory = Memory()
    for record in recorded(listed):
        records.write(own, [record])
        memory.replay([record])
    expected = Ledger()
    expected.settle(memory, Table(held), PEERS)
    fresh = adopted(store, held)
    assert (fresh.ledger.ours, fresh.ledger.displaced) == (expected.ours, expected.displaced)
    again = adopted(store, held)
    assert (again.ledger.ours, again.ledger.displaced) == (expected.ours, expected.displaced)


def test_adopting_counts_what_is_learned() -> None:
    """After a restart the counts of each peer are those of the ledger."""
    store = Store()
    records, own = Records(store, "boot"), interface()
    records.adopt(own)
    records.write(own, recorded((Op.OURS, net, A) for net in NETS[:3]))
    assert adopted(store, {NETS[0]: A, NETS[1]: A, NETS[2]: B}).counts == {A: 2}


@given(st.integers(0, 200), st.integers(0, 255))
def test_damage_claims_nothing(at: int, value: int) -> None:
    """Whatever one byte of the file becomes: what is not ours is never taken for ours."""
    store = Store()
    records, own = Records(store, "boot"), interface()
    records.adopt(own)
    records.write(own, recorded([(Op.OURS, NET, A), (Op.OURS, NETS[1], B)]))
    data = bytearray(store.data[KEY])
    if at < len(data):
        data[at] = value
    store.data[KEY] = bytes(data)
    fresh = adopted(store, {NET: A, NETS[1]: B, NETS[2]: A, NETS[3]: C})
    assert fresh.ledger.ours.items() <= {NET: A, NETS[1]: B}.items()


def test_a_damaged_ledger_is_told_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Damage is a warning that names the interface, and the next process finds an intact ledger."""
    store = Store()
    store.data[KEY] = b"something else"
    with caplog.at_level(logging.WARNING):
        fresh = adopted(store, {NET: A})
    assert not fresh.ledger.ours
    assert "wg0: the ledger" in caplog.text
    assert "count as pinned" in caplog.text
    assert store.data[KEY] == HEADER


def test_a_ledger_of_another_interface_or_version_claims_nothing() -> None:
    """A file under another name, or one that an older version wrote, says nothing about this interface."""
    store = Store()
    records, own = Records(store, "boot"), interface()
    records.adopt(own)
    records.write(own, recorded([(Op.OURS, NET, A)]))
    whole = store.data[KEY]
    assert adopted(store, {NET: A}).ledger.ours == {NET: A}
    for foreign in (header("boot-8"), header(f"other-{WG}"), b"peerway ledger 2\n"):
        store.data[KEY] = foreign + whole[len(HEADER) :]
        assert not adopted(store, {NET: A}).ledger.ours


def test_a_lost_removal_in_the_middle_claims_nothing() -> None:
    """
    A prefix that was ours, given back, and pinned since by somebody else: if the record of giving it back is lost, or
    its length is another, what is left says that it is ours, and is not believed.
    """
    store = Store()
    records, own = Records(store, "boot"), interface()
    records.adopt(own)
    marks = [len(store.data[KEY])]
    for op, net in ((Op.OURS, NET), (Op.DROPPED, NET), (Op.OURS, NETS[1])):
        records.write(own, recorded([(op, net, A)]))
        marks.append(len(store.data[KEY]))
    whole = store.data[KEY]
    lost = whole[: marks[1]] + whole[marks[2] :]
    longer = bytearray(whole)
    longer[marks[1] + 4] = 1  # a length of the block beyond the end of the file
    for damaged in (lost, bytes(longer)):
        store.data[KEY] = damaged
        assert not adopted(store, {NET: A}).ledger.ours


def test_a_ledger_that_cannot_be_read_claims_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A store that fails to read is no reason to fail, and none to take anything for ours."""

    class Broken(Store):
        @override
        def load(self, key: str) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with caplog.at_level(logging.WARNING):
        fresh = adopted(Broken(), {NET: A})
    assert not fresh.ledger.ours
    assert "wg0: cannot read the ledger: Input/output error; all its AllowedIPs count as pinned" in caplog.text


def test_half_of_a_damaged_ledger_is_not_trusted() -> None:
    """What stood before the damage is put aside too: the rest could have taken it back."""
    store = Store()
    records, own = Records(store, "boot"), interface()
    records.adopt(own)
    records.write(own, recorded([(Op.OURS, NET, A)]))
    records.write(own, recorded([(Op.DROPPED, NET, A)]))
    store.data[KEY] = store.data[KEY][:-1] + b"?"
    assert not adopted(store, {NET: A}).ledger.ours


def test_a_full_disk_at_the_start_is_an_error_and_heals() -> None:
    """When the ledger cannot be rewritten at the start, the former one stays; the next write brings all."""
    store = Store()
    records, own = Records(store, "boot"), interface()
    records.adopt(own)
    records.write(own, recorded([(Op.OURS, NET, A)]))
    store.full = True
    records, own = Records(store, "boot"), interface({NET: A})
    records.adopt(own)
    assert "No space left" in own.errors["ledger"]
    assert adopted(store, {NET: A}).ledger.ours == {NET: A}
    with pytest.raises(OSError, match="No space left"):
        records.write(own, recorded([(Op.OURS, NET, B)]))
    store.full = False
    give(own, NET, B)  # the plan is in memory already when its entries are written ahead
    records.write(own, recorded([(Op.OURS, NET, B)]))
    assert read(store).maybe == {NET: {A, B}}
    records.write(own, recorded([(Op.DROPPED, NET, A)]))
    assert read(store).maybe == {NET: {B}}
    records.tidy(own)


def test_the_first_ledger_begins_with_its_header_even_after_a_full_disk() -> None:
    """A store that was full and empty at the start is no damaged one later."""
    store, own = Store(), interface()
    records = Records(store, "boot")
    store.full = True
    records.adopt(own)
    records.tidy(own)
    store.full = False
    records.write(own, recorded([(Op.OURS, NET, A)]))
    assert store.data[KEY].startswith(HEADER)
    assert adopted(store, {NET: A}).ledger.ours == {NET: A}


def test_nothing_to_write_writes_nothing() -> None:
    """An empty list of entries leaves the store alone."""
    store, own = Store(), interface()
    records = Records(store, "boot")
    records.adopt(own)
    store.full = True
    records.write(own, [])
    assert store.data[KEY] == HEADER


def test_a_long_history_is_rewritten_to_the_present() -> None:
    """When the file has grown by SLACK and to four times its size, tidying leaves what is true now."""
    store, own = Store(), interface()
    records = Records(store, "boot")
    records.adopt(own)
    own.ledger.ours[NET] = A
    records.rewrite(own)
    short = store.data[KEY]
    while len(store.data[KEY]) <= SLACK + 4 * len(short):
        records.tidy(own)
        assert len(store.data[KEY]) >= len(short)
        grown = store.data[KEY]
        records.write(own, recorded((op, net, D) for op in (Op.OURS, Op.DROPPED) for net in NETS * 400))
        assert len(store.data[KEY]) > len(grown)
    records.tidy(own)
    assert store.data[KEY] == short


def test_a_large_ledger_may_grow_more() -> None:
    """A ledger that is large in truth is not rewritten before it has grown to four times its size."""
    store, own = Store(), interface()
    records = Records(store, "boot")
    own.ledger.ours = Table({px.make(px.AF_INET, number.to_bytes(4, "big"), 32): A for number in range(SLACK // 4)})
    records.rewrite(own)
    floor = len(store.data[KEY])
    assert floor > SLACK
    records.write(own, recorded((Op.DROPPED, net, D) for net in NETS))
    records.tidy(own)
    assert len(store.data[KEY]) > floor


def test_a_forgotten_interface_leaves_no_file_and_others_stay() -> None:
    """Forgetting drops one key; dropping others leaves those present, and those of another place."""
    store = Store()
    store.data = dict.fromkeys(("boot-7", "boot-8", "boot-9", "bootx-8", "boo-8", "boot1-8"), HEADER)
    records = Records(store, "boot")
    records.forget(7)
    assert "boot-7" not in store.data
    records.forget_others([9])
    assert sorted(store.data) == ["boo-8", "boot-9", "boot1-8", "bootx-8"]
