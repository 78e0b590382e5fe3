"""What is put together from units is one map, and what is remembered of the last reading changes nothing in it."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.device import AllowedIPs
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.protocols.gathering import Gathering, Memory
from tests.harness.wg_strategies import PREFIXES

KEYS = [PublicKey(bytes([number]) * 32) for number in range(4)]
UNITS = st.lists(st.tuples(st.sampled_from(KEYS), st.lists(PREFIXES, max_size=6)), max_size=6)
Told = list[tuple[PublicKey, list[Prefix]]]


def gather(told: Told, memory: Memory | None = None) -> tuple[AllowedIPs, Memory, int]:
    """The map, what is remembered, and how many units had to be read."""
    gathering = Gathering(memory)
    read = 0
    for key, prefixes in told:
        digest = gathering.digest(pickle.dumps(prefixes))
        unit = None
        if not gathering.knows(digest):
            read += 1
            v4 = [prefix for prefix in prefixes if not prefix & px.V6]
            v6 = [prefix for prefix in prefixes if prefix & px.V6]
            unit = cl.make(px.AF_INET, v4), cl.make(px.AF_INET6, v6)
        gathering.add(key, digest, unit)
    assert gathering.size == sum(len(prefixes) for _, prefixes in told)
    return gathering.table(), gathering.memory, read


def expected(told: Told) -> dict[Prefix, PublicKey]:
    return {prefix: key for key, prefixes in told for prefix in prefixes}


@given(UNITS)
def test_units_are_one_map(told: Told) -> None:
    """Each prefix is at the last peer that was told to have it, and the map is in order."""
    table, _, _ = gather(told)
    assert table == expected(told)
    assert list(table) == sorted(expected(told))
    assert len(table) == len(expected(told))


@given(st.lists(UNITS, max_size=4), st.data())
def test_memory_changes_nothing(readings: list[Told], data: st.DataObject) -> None:
    """However units come, go, move to another peer and return, a reading with a memory is one without."""
    memory = None
    for told in readings:
        kept = data.draw(st.permutations(told + (readings[0] if readings else [])))
        table, memory, _ = gather(kept, memory)
        assert table == expected(kept)
        assert list(table) == sorted(expected(kept))


@given(UNITS, st.sampled_from(KEYS), PREFIXES)
def test_same_reading_reads_nothing_and_shares_no_codes(told: Told, key: PublicKey, prefix: Prefix) -> None:
    """A device that did not change is not read again, and what somebody does to one map is not seen in the next."""
    first, memory, _ = gather(told)
    first[prefix] = key
    for other in expected(told):
        first.pop(other, None)
    second, again, read = gather(told, memory)
    assert read == 0
    assert again is memory
    assert second == expected(told)
    second.clear()
    assert gather(told, memory)[0] == expected(told)


def test_one_changed_unit_is_read_alone() -> None:
    """What stayed the same is known, wherever it stands now."""
    told = [
        (key, [px.parse(f"10.{number}.0.0/16"), px.parse(f"2001:db8:{number}::/48")]) for number, key in enumerate(KEYS)
    ]
    _, memory, read = gather(told)
    assert read == len(KEYS)
    changed = [*told[2:], (KEYS[0], [px.parse("10.9.0.0/16")])]
    table, _, read = gather(changed, memory)
    assert read == 1
    assert table == expected(changed)
