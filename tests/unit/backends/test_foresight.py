"""A reading that is begun before it is needed, against a program that says what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from peerway.backends import device as device_module
from peerway.backends.userspace import UserspaceDevice
from peerway.model.device import AllowedIPsDelta
from peerway.model.keys import PublicKey
from peerway.model.prefix import parse
from tests.harness.columns import groups
from tests.harness.uapiserver import HANG_UP, Answerer, server

A = PublicKey(bytes([17] * 32))
ONE, TWO = parse("10.1.0.0/16"), parse("10.2.0.0/16")
HOLDS_ONE = f"public_key={A.hex()}\nallowed_ip=10.1.0.0/16\nerrno=0\n\n".encode()
HOLDS_NOTHING = f"public_key={A.hex()}\nerrno=0\n\n".encode()
DONE, INVALID = b"errno=0\n\n", b"errno=-22\n\n"
REMOVAL = AllowedIPsDelta(remove=groups(((ONE, A),)))


def program(*, can_take: bool, holds: bytes = HOLDS_ONE) -> Answerer:
    """A program that knows how to take a prefix away, or not."""

    def answer(request: bytes) -> bytes:
        if request.startswith(b"get"):
            return holds
        return INVALID if b"allowed_ip=-" in request and not can_take else DONE

    return answer


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[UserspaceDevice]:
    made = UserspaceDevice("wg0", 3, tmp_path / "wg0.sock")
    yield made
    await made.close()


def readings(heard: Sequence[bytes]) -> int:
    """How often all was read."""
    return heard.count(b"get=1\n\n")


async def test_removal_takes_the_reading_that_was_begun_before(device: UserspaceDevice, tmp_path: Path) -> None:
    """There is one reading, however often it was foreseen, and what it shows goes by throwaway peer."""
    async with server(tmp_path / "wg0.sock", program(can_take=False)) as heard:
        device.foresee()
        device.foresee()
        assert await device.apply(REMOVAL) == []
    assert readings(heard) == 1
    assert sum(b"remove=true" in request and b"allowed_ip=10.1.0.0/16" in request for request in heard) == 1


async def test_reading_before_the_removal_counts_for_both(device: UserspaceDevice, tmp_path: Path) -> None:
    """Who reads first is given what was foreseen, and the removal trusts it while it is fresh."""
    async with server(tmp_path / "wg0.sock", program(can_take=False)) as heard:
        device.foresee()
        assert (await device.read()).allowed_ips == {ONE: A}
        await device.apply(REMOVAL)
    assert readings(heard) == 1


async def test_what_another_holds_by_then_stays(device: UserspaceDevice, tmp_path: Path) -> None:
    """What was foreseen decides as any other reading does."""
    async with server(tmp_path / "wg0.sock", program(can_take=False, holds=HOLDS_NOTHING)) as heard:
        device.foresee()
        await device.apply(REMOVAL)
    assert not any(b"remove=true" in request for request in heard)


async def test_old_foresight_is_none(device: UserspaceDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no longer fresh is read again."""
    monkeypatch.setattr(device_module, "FRESH", -1)
    monkeypatch.setattr(device_module, "TRUST", -1)
    async with server(tmp_path / "wg0.sock", program(can_take=False)) as heard:
        device.foresee()
        await device.read()
    assert readings(heard) == 2


async def test_foresight_ends_with_a_change(device: UserspaceDevice, tmp_path: Path) -> None:
    """A reading after a change of ours shows it: what was foreseen before would tell of the time before."""
    begun, usual = asyncio.Event(), program(can_take=False)

    def answer(request: bytes) -> bytes | None:
        if request.startswith(b"get"):
            begun.set()
        return usual(request)

    async with server(tmp_path / "wg0.sock", answer) as heard:
        device.foresee()
        await device.apply(AllowedIPsDelta(add=groups(((TWO, A),))))
        await begun.wait()
        await device.read()
    assert readings(heard) == 2


async def test_program_that_can_take_is_not_read(device: UserspaceDevice, tmp_path: Path) -> None:
    """It is asked whether it can, without a change; then the prefix is taken from its peer, and that is all."""
    async with server(tmp_path / "wg0.sock", program(can_take=True)) as heard:
        device.foresee()
        await device.apply(REMOVAL)
        device.foresee()
    asked, taken = (request for request in heard if request.startswith(b"set"))
    assert b"update_only=true" in asked
    assert A.hex().encode() not in asked
    assert A.hex().encode() in taken
    assert readings(heard) == 0


@pytest.mark.parametrize("said", [HANG_UP, b"nonsense\n\n", b"errno=-5\n\n"])
async def test_what_goes_wrong_is_tried_again_in_the_open(device: UserspaceDevice, tmp_path: Path, said: bytes) -> None:
    """A foresight that failed is as none."""
    answers = iter([INVALID, said])
    async with server(tmp_path / "wg0.sock", lambda _: next(answers, HOLDS_ONE)) as heard:
        device.foresee()
        assert (await device.read()).allowed_ips == {ONE: A}
    assert readings(heard) == 2


async def test_nobody_who_listens_is_told_at_the_reading(device: UserspaceDevice) -> None:
    """What was begun beside other work raises nothing by itself."""
    device.foresee()
    with pytest.raises(OSError, match="wg0"):
        await device.read()
