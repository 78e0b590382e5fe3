"""What all devices do alike, on a device in memory: chunks, both ways of removal, refusals, and no foreign loss."""

from __future__ import annotations

import errno
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from peerway.backends import removals
from peerway.backends.chunks import Chunk, chunks, halves
from peerway.backends.device import BaseDevice, digest
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.device import AllowedIPs, AllowedIPsDelta, Backend, Device, Group, Reading
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix, parse
from peerway.model.setup import DeviceConfig
from tests.harness.columns import flat, groups, pairs
from tests.harness.wg_strategies import ALLOWED_IPS, PREFIXES

Pair = tuple[Prefix, PublicKey]

A, B = (PublicKey(bytes([number]) * 32) for number in (1, 2))
ONE, TWO = parse("10.1.0.0/16"), parse("10.2.0.0/16")


class Memory(BaseDevice):
    """A device that takes three prefixes a request, and refuses what it is told to refuse."""

    short = 0  # each request is long enough for the next one to be written meanwhile

    def __init__(
        self, allowed_ips: Mapping[Prefix, PublicKey], *, can_take: bool = True, refuses: Sequence[Prefix] = ()
    ) -> None:
        super().__init__("wg0", 3)
        self.ips = dict(allowed_ips)
        self.peers = {A, B, *allowed_ips.values()}
        self.takes = can_take
        self.refuses = set(refuses)
        self.gone = False
        self.is_quick = can_take  # whether it lets the next request be written ahead
        self.log: list[str] = []

    @property
    @override
    def backend(self) -> Backend:
        return Backend.KERNEL

    @override
    async def close(self) -> None: ...

    @override
    def foresee(self) -> None: ...

    @override
    async def _configure(self, config: DeviceConfig) -> None: ...

    @override
    async def _read(self) -> Reading:
        self.log.append("read")
        return Reading(Device("wg0", 3, Backend.KERNEL), AllowedIPs(self.ips))

    @override
    def _chunks(self, groups: Iterable[Group]) -> Iterator[Chunk]:
        return chunks(groups, 1, 0, 3)

    @override
    def _give(self, chunk: Chunk) -> bytes:
        return pickle.dumps(("give", pairs(chunk)))

    @override
    def _take(self, chunk: Chunk) -> bytes:
        return pickle.dumps(("take", pairs(chunk)))

    @override
    def _discard(self, chunk: Chunk) -> bytes:
        (throwaway,) = {key for key, _ in chunk}
        assert throwaway not in self.peers
        return pickle.dumps(("discard", pairs(chunk)))

    @override
    def _remove_peer(self, key: PublicKey) -> bytes:
        return pickle.dumps(("remove", [(Prefix(0), key)]))

    @override
    async def _send(self, request: bytes, meanwhile: Callable[[], None] | None = None) -> None:
        word, said = pickle.loads(request)
        if meanwhile and self.is_quick:
            meanwhile()
        if word == "remove":
            self._forget(said[0][1])
            return
        self.log.append(word)
        assert 0 < len(said) <= 3
        if self.gone:
            raise OSError(errno.ENODEV, "wg0 is gone")
        if word == "take" and not self.takes:
            raise OSError(errno.EINVAL, "no such flag")
        for prefix, key in said:
            self._do(word, prefix, key)
        if word == "discard":
            self._forget(said[0][1])

    def _do(self, word: str, prefix: Prefix, key: PublicKey) -> None:
        if prefix in self.refuses:
            raise OSError(errno.ENOMEM, "no room")
        if word == "take":
            if self.ips.get(prefix) == key:
                del self.ips[prefix]
        elif key in self.peers or word == "discard":
            self.ips[prefix] = key

    def _forget(self, key: PublicKey) -> None:
        self.peers.discard(key)
        self.ips = {prefix: owner for prefix, owner in self.ips.items() if owner != key}

    @override
    def _refused(self, error: OSError) -> bool:
        return error.errno != errno.ENODEV


@given(ALLOWED_IPS, ALLOWED_IPS, ALLOWED_IPS, st.booleans())
async def test_either_way_of_removal_ends_the_same(
    before: dict[Prefix, PublicKey], add: dict[Prefix, PublicKey], remove: dict[Prefix, PublicKey], can_take: bool
) -> None:
    """Adds come first; a removal takes from the named peer only; no peer comes or stays."""
    device = Memory(before, can_take=can_take)
    peers = set(device.peers)
    assert await device.apply(AllowedIPsDelta(groups(add.items()), groups(remove.items()))) == []
    given_ = before | {prefix: key for prefix, key in add.items() if key in peers}
    assert device.ips == {prefix: key for prefix, key in given_.items() if remove.get(prefix) != key}
    assert device.peers == peers
    words = [word for word in device.log if word != "read"]
    assert words == sorted(words, key=lambda word: word != "give")


@given(ALLOWED_IPS, ALLOWED_IPS, st.sets(PREFIXES, max_size=3), st.booleans(), st.data())
async def test_refused_prefixes_are_told_and_stop_no_other(
    before: dict[Prefix, PublicKey], add: dict[Prefix, PublicKey], bad: set[Prefix], can_take: bool, data: st.DataObject
) -> None:
    """Each refused prefix is named with its errno; all the others are done."""
    if before:
        bad |= data.draw(st.sets(st.sampled_from(sorted(before)), max_size=2))
    if add:
        bad |= data.draw(st.sets(st.sampled_from(sorted(add)), max_size=2))
    adding = {prefix: key for prefix, key in add.items() if prefix not in before}
    device = Memory(before, can_take=can_take, refuses=sorted(bad))
    device.peers |= set(add.values())
    peers = set(device.peers)
    refusals = await device.apply(AllowedIPsDelta(groups(adding.items()), groups(before.items())))
    assert {(refusal.prefix, refusal.errno) for refusal in refusals} == {
        (prefix, errno.ENOMEM) for prefix in bad & (before.keys() | adding.keys())
    }
    done = {prefix: key for prefix, key in adding.items() if prefix not in bad}
    # A throwaway peer that was refused goes with what it already held, and that was to go anyway.
    stays = {prefix: key for prefix, key in before.items() if prefix in bad}
    assert device.ips == done | stays
    assert device.peers == peers


async def test_way_of_removal_is_tried_once() -> None:
    """The first removal is the probe; after a no, it is not asked again, and each removal is read for first."""
    device = Memory({ONE: A, TWO: A}, can_take=False)
    await device.apply(AllowedIPsDelta(add=groups(((ONE, B),))))
    assert device.log == ["give"]
    await device.apply(AllowedIPsDelta(remove=groups(((ONE, B),))))
    await device.apply(AllowedIPsDelta(remove=groups(((TWO, A),))))
    assert device.log == ["give", "take", "read", "discard", "read", "discard"]


async def test_nothing_is_discarded_that_another_holds() -> None:
    """The throwaway way would take from whoever holds it, so a fresh reading decides."""
    device = Memory({ONE: A}, can_take=False)
    await device.apply(AllowedIPsDelta(remove=groups(((ONE, B), (TWO, A)))))
    assert device.ips == {ONE: A}
    assert "discard" not in device.log
    device = Memory({ONE: A, TWO: B}, can_take=False)
    await device.apply(AllowedIPsDelta(remove=groups(((ONE, B), (TWO, A)))))
    assert device.ips == {ONE: A, TWO: B}
    assert "discard" not in device.log


@pytest.mark.parametrize("can_take", [True, False])
async def test_removal_of_many_chunks_is_whole(can_take: bool) -> None:
    """Whichever way it goes, and also when the way changes at the first chunk, none is forgotten."""
    ips = {parse(f"10.{number}.0.0/16"): (A, B)[number % 2] for number in range(20)}
    device = Memory({**ips, ONE: A}, can_take=can_take)
    gone = {prefix: key for prefix, key in ips.items() if prefix != ONE}
    assert await device.apply(AllowedIPsDelta(remove=groups(gone.items()))) == []
    assert device.ips == {ONE: A}
    assert device.log.count("take" if can_take else "discard") == 7


async def test_reading_that_is_old_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal of many chunks reads again when its reading is no longer fresh."""
    clock = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(removals, "STRETCH", 3)
    ips = {parse(f"10.{number}.0.0/16"): A for number in range(6)}
    device = Memory(ips, can_take=False)
    await device.apply(AllowedIPsDelta(remove=groups(ips.items())))
    assert device.log == ["take", "read", "discard", "read", "discard"]


async def test_gone_device_is_no_refusal() -> None:
    """What is not about a prefix is raised at once."""
    device = Memory({ONE: A})
    device.gone = True
    for delta in (AllowedIPsDelta(add=groups(((ONE, A),))), AllowedIPsDelta(remove=groups(((ONE, A),)))):
        device.log.clear()
        with pytest.raises(OSError, match="wg0 is gone"):
            await device.apply(delta)
        assert len(device.log) == 1


PAIRS = st.lists(st.tuples(PREFIXES, st.sampled_from([A, B, PublicKey(bytes(32))])), max_size=60)


@given(PAIRS, st.integers(1, 5), st.integers(0, 7), st.integers(1, 40))
def test_chunks_hold_everything_and_keep_the_budget(some: list[Pair], each: int, peer: int, budget: int) -> None:
    """Each pair is in one chunk, peers stand together, and only a prefix that is too big alone is over the budget."""
    cut = list(chunks([*groups(some), (A, cl.none(px.AF_INET))], each, peer, budget))
    assert sorted(pair for chunk in cut for pair in pairs(chunk)) == sorted(set(some))
    for chunk in cut:
        keys = [key for key, _ in chunk]
        assert keys == sorted(keys)
        count = len(pairs(chunk))
        assert count
        assert each * count + peer * len(set(keys)) <= budget or count == 1


@given(PAIRS.filter(lambda some: len(set(some)) > 1))
def test_halves_are_halves(some: list[Pair]) -> None:
    """Together they are the whole, in its order, and neither is more than one prefix larger."""
    whole = groups(some)
    first, second = halves(whole)
    joined = [(key, prefix) for half in (first, second) for key, column in half for prefix in flat([column])]
    assert joined == [(key, prefix) for key, column in whole for prefix in flat([column])]
    assert 0 <= len(pairs(second)) - len(pairs(first)) <= 1


def test_digest_tells_apart_and_hides() -> None:
    """Equal keys have equal digests, others not, and the digest is no part of the key."""
    one, two = bytes([1] * 32), bytes([2] * 32)
    assert digest(one) == digest(one) != digest(two)
    assert len(digest(one)) == 16
