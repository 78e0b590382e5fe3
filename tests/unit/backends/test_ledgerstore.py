"""Ledgers as files: who may read them, what a failure leaves, and that there is one daemon only."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.backends.ledgerstore import LedgerFiles, place

KEYS = st.sampled_from(["boot-1-7", "boot-1-8", "boot.2-7"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["append", "replace"]), KEYS, st.binary(max_size=20)),
        st.tuples(st.sampled_from(["delete", "restart"]), KEYS, st.just(b"")),
    ),
    max_size=12,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LedgerFiles]:
    store = LedgerFiles(tmp_path / "state")
    yield store
    store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@given(STEPS)
def test_a_store_is_a_map_from_keys_to_bytes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bytes]]
) -> None:
    """Whatever was appended, replaced and deleted, a process that comes later reads the same."""
    directory = tmp_path_factory.mktemp("state")
    store, expected = LedgerFiles(directory), dict[str, bytes]()
    for step, key, data in steps:
        match step:
            case "append":
                store.append(key, data)
                expected[key] = expected.get(key, b"") + data
            case "replace":
                store.replace(key, data)
                expected[key] = data
            case "delete":
                store.delete(key)
                expected.pop(key, None)
            case _:
                store.close()
                store = LedgerFiles(directory)
        assert {key: store.load(key) for key in store.keys()} == expected  # noqa: SIM118 - a store is no mapping
    store.close()


def test_only_the_owner_may_read(tmp_path: Path, store: LedgerFiles) -> None:
    """The directory is 0700 and each file 0600, whatever the umask gives away."""
    former = os.umask(0)
    try:
        fresh = LedgerFiles(tmp_path / "open")
        fresh.append("appended", b"x")
        fresh.replace("replaced", b"x")
        assert fresh.lock("boot")
        fresh.close()
    finally:
        os.umask(former)
    assert mode(tmp_path / "open") == 0o700
    files = {path.name: mode(path) for path in (tmp_path / "open").iterdir()}
    assert files == {"appended.ledger": 0o600, "replaced.ledger": 0o600, "boot.lock": 0o600}


def test_what_was_never_written_is_empty(store: LedgerFiles) -> None:
    """A missing key loads as nothing, deletes in peace, and is not among the keys."""
    assert store.load("boot-7") == b""
    store.delete("boot-7")
    assert store.keys() == []


def test_a_former_process_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    """What is there stays when the store is opened again, below directories that are made as needed."""
    first = LedgerFiles(tmp_path / "run" / "peerway")
    first.append("boot-7", b"one")
    first.close()
    second = LedgerFiles(tmp_path / "run" / "peerway")
    second.append("boot-7", b"two")
    assert second.load("boot-7") == b"onetwo"
    second.close()


def test_an_append_that_fails_half_way_is_cut_back(store: LedgerFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes part of a write; that part goes again, and the next write joins whole ones."""
    store.append("boot-7", b"whole")
    real, room = os.write, [3]

    def filling(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as full:
        full.setattr(os, "write", filling)
        with pytest.raises(OSError, match="No space left"):
            store.append("boot-7", b"lost")
    assert room == [0]  # some of it was written indeed
    assert store.load("boot-7") == b"whole"
    store.append("boot-7", b" again")
    assert store.load("boot-7") == b"whole again"


def test_short_writes_are_carried_on(store: LedgerFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes a byte at a time ends with all of them in their order."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:1]))
    store.append("boot-7", b"slow")
    store.replace("boot-8", b"steady")
    assert (store.load("boot-7"), store.load("boot-8")) == (b"slow", b"steady")


def test_a_replacement_that_fails_leaves_what_was(store: LedgerFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The former bytes stand until all new ones are written, and a half one is no key."""
    store.append("boot-7", b"former")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            store.replace("boot-7", b"new")
    assert (store.load("boot-7"), store.keys()) == (b"former", ["boot-7"])
    store.append("boot-7", b"!")
    assert store.load("boot-7") == b"former!"


def test_a_shorter_replacement_leaves_nothing_of_a_longer_failed_one(store: LedgerFiles, tmp_path: Path) -> None:
    """What a killed process left of its replacement is overwritten from its first byte to its last."""
    (tmp_path / "state" / "boot-7.new").write_bytes(b"long and left over")
    store.replace("boot-7", b"short")
    assert store.load("boot-7") == b"short"


def test_a_second_daemon_is_refused(tmp_path: Path, store: LedgerFiles) -> None:
    """A namespace has one daemon in a directory; another namespace has its own, and the next one comes after it."""
    assert store.lock("boot-1")
    second = LedgerFiles(tmp_path / "state")
    assert not second.lock("boot-1")
    assert second.lock("boot-2")
    second.close()
    third = LedgerFiles(tmp_path / "state")
    assert not third.lock("boot-1")
    store.close()
    assert third.lock("boot-1")
    assert third.keys() == []
    third.close()


def test_a_closed_store_holds_no_files(tmp_path: Path) -> None:
    """Closing lets go of every descriptor, and does no harm a second time."""
    before = set(Path("/proc/self/fd").iterdir())
    store = LedgerFiles(tmp_path)
    store.append("boot-7", b"x")
    store.append("boot-8", b"x")
    store.replace("boot-8", b"y")
    assert store.lock("boot")
    assert not LedgerFiles(tmp_path).lock("boot")
    store.close()
    store.close()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_place_is_one_boot_and_namespace() -> None:
    """The same process is at the same place, which names the boot and the namespace."""
    boot, _, namespace = place().rpartition("-")
    assert place() == f"{boot}-{namespace}"
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert namespace.isdecimal() or namespace == f"inode{Path('/proc/self/ns/net').stat().st_ino}"


def test_an_old_kernel_tells_a_namespace_by_its_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 5.14 has no cookie for a namespace: the inode stands for it."""
    monkeypatch.setattr("peerway.backends.ledgerstore.SO_NETNS_COOKIE", 0x7FFF)
    assert place().endswith(f"-inode{Path('/proc/self/ns/net').stat().st_ino}")
