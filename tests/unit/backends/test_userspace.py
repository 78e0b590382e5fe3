"""A userspace device against a server that says what a test wants: errors, silence, ends and new beginnings."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peerway.backends import userspace
from peerway.backends.userspace import UserspaceDevice
from peerway.model.device import AllowedIPsDelta
from peerway.model.keys import PublicKey
from peerway.model.prefix import parse
from peerway.model.setup import DeviceConfig
from tests.harness.columns import groups
from tests.harness.uapiserver import HANG_UP, Answerer, server

A = PublicKey(bytes([17] * 32))
ONE = parse("10.1.0.0/16")
HOLDS_ONE = f"public_key={A.hex()}\nallowed_ip=10.1.0.0/16\nerrno=0\n\n".encode()
DONE = b"errno=0\n\n"


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[UserspaceDevice]:
    made = UserspaceDevice("wg0", 3, tmp_path / "wg0.sock")
    yield made
    await made.close()


async def test_one_connection_is_kept(device: UserspaceDevice, tmp_path: Path) -> None:
    """Readings and changes go over the same connection."""
    async with server(tmp_path / "wg0.sock", lambda r: HOLDS_ONE if r.startswith(b"get") else DONE) as heard:
        assert (await device.read()).allowed_ips == {ONE: A}
        await device.apply(AllowedIPsDelta(add=groups(((ONE, A),))))
        assert (await device.read()).allowed_ips == {ONE: A}
    assert heard.count(b"connected") == 1


async def test_errno_means_a_new_connection(device: UserspaceDevice, tmp_path: Path) -> None:
    """After an errno the connection is out of step, so it is not used again; the refused prefix is told."""
    async with server(tmp_path / "wg0.sock", lambda r: b"errno=-12\n\n" if b"allowed_ip" in r else DONE) as heard:
        refusals = await device.apply(AllowedIPsDelta(add=groups(((ONE, A),))))
        assert [(refusal.prefix, refusal.errno) for refusal in refusals] == [(ONE, errno.ENOMEM)]
        await device.read()
    assert heard.count(b"connected") == 2


async def test_restarted_program_is_found_again(device: UserspaceDevice, tmp_path: Path) -> None:
    """A kept connection that turns out to be dead is replaced without an error."""
    for _ in range(2):
        async with server(tmp_path / "wg0.sock", answer_once(HOLDS_ONE)) as heard:
            assert (await device.read()).allowed_ips == {ONE: A}
            assert heard.count(b"connected") == 1


def answer_once(said: bytes) -> Answerer:
    """Answer the first request and end the connection at the second."""
    answers = iter([said])
    return lambda _: next(answers, None)


async def test_program_that_only_hangs_up_is_an_error(device: UserspaceDevice, tmp_path: Path) -> None:
    """One new connection is tried, not an endless number."""
    async with server(tmp_path / "wg0.sock", lambda _: None) as heard:
        with pytest.raises(OSError, match=r"wg0: .* closed the connection") as told:
            await device.read()
        assert told.value.errno == errno.ENODEV
    assert heard.count(b"connected") == 1


async def test_program_that_dies_while_it_answers_is_an_error(device: UserspaceDevice, tmp_path: Path) -> None:
    """Half an answer over a kept connection is no reason to ask again: it was heard."""
    answers = iter([DONE, b"listen_port=1\n" + HANG_UP])
    async with server(tmp_path / "wg0.sock", lambda _: next(answers, HOLDS_ONE)) as heard:
        await device.configure(DeviceConfig(fwmark=1))
        with pytest.raises(OSError, match="closed the connection") as told:
            await device.read()
        assert told.value.errno == errno.ENODEV
    assert heard.count(b"connected") == 1


async def test_success_may_have_more_lines(device: UserspaceDevice, tmp_path: Path) -> None:
    """What a newer program adds to the answer of a change does not matter, in one piece or in two."""
    async with server(tmp_path / "wg0.sock", lambda _: b"new_field=1\nerrno=0\n\n") as heard:
        assert await device.apply(AllowedIPsDelta(add=groups(((ONE, A),)))) == []
        await device.configure(DeviceConfig(fwmark=1))
    assert heard.count(b"connected") == 1


async def test_missing_program_is_an_error(device: UserspaceDevice) -> None:
    """No socket, no device."""
    with pytest.raises(OSError, match=r"no userspace WireGuard listens at .*wg0\.sock") as told:
        await device.read()
    assert told.value.errno == errno.ENODEV


async def test_silence_ends_with_a_sentence(
    device: UserspaceDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that hangs does not hang us, whether it says nothing or half an answer."""
    monkeypatch.setattr(userspace, "TIMEOUT", 0.02)
    for said in (b"", b"private_key="):
        async with server(tmp_path / "wg0.sock", lambda _, said=said: said):  # type: ignore[misc]
            with pytest.raises(OSError, match=r"gave no answer in 0\.02 s") as told:
                await device.read()
            assert told.value.errno == errno.ETIMEDOUT


async def test_what_a_hung_program_was_asked_is_done_before_it_is_read_again(
    device: UserspaceDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a request that was not answered in time, no reading is made until the program has done with it."""
    monkeypatch.setattr(userspace, "TIMEOUT", 0.05)
    goes_on, done = asyncio.Event(), list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := (await reader.readline()).decode():
            await goes_on.wait()
            if request == "set=1\n":
                await asyncio.sleep(0.02)
                done.append("set")
            elif request == "get=1\n":
                done.append("get")
                writer.write(HOLDS_ONE if "set" in done else DONE)
        writer.close()

    started = await asyncio.start_unix_server(serve, tmp_path / "wg0.sock")
    delta = AllowedIPsDelta(add=groups([(ONE, A)]))
    for ask in (lambda: device.apply(delta), device.read, device.read):
        with pytest.raises(OSError, match="gave no answer"):
            await ask()
    assert done == []
    goes_on.set()
    assert (await device.read()).allowed_ips == {ONE: A}
    assert done == ["set", "get"]
    started.close()


async def test_a_hung_program_that_dies_is_waited_for_no_longer(
    device: UserspaceDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a connection on which an answer is due is the end of what was asked there."""
    monkeypatch.setattr(userspace, "TIMEOUT", 0.05)
    for said in (b"", HOLDS_ONE):
        async with server(tmp_path / "wg0.sock", lambda _, said=said: said):  # type: ignore[misc]
            if said:
                assert (await device.read()).allowed_ips == {ONE: A}
            else:
                with pytest.raises(OSError, match="gave no answer"):
                    await device.read()


@pytest.mark.parametrize("said", [b"what\n", b"\n\n", b"errno=0\n\nerrno=0\n\n", b"\xff=\xff\npublic_key=1\n\n"])
async def test_nonsense_is_an_error(device: UserspaceDevice, tmp_path: Path, said: bytes) -> None:
    """What is no answer raises OSError, and the next operation starts anew."""
    answers = iter([said])
    async with server(tmp_path / "wg0.sock", lambda _: next(answers, HOLDS_ONE)) as heard:
        with pytest.raises(OSError, match="wg0: uapi") as told:
            await device.read()
        assert told.value.errno == errno.EPROTO
        assert (await device.read()).allowed_ips == {ONE: A}
    assert heard.count(b"connected") == 2


async def test_native_removal_is_used_where_it_is_known(device: UserspaceDevice, tmp_path: Path) -> None:
    """A program that knows `allowed_ip=-` is not read before a removal."""
    async with server(tmp_path / "wg0.sock", lambda _: DONE) as heard:
        assert await device.apply(AllowedIPsDelta(remove=groups(((ONE, A),)))) == []
    assert [b"allowed_ip=-10.1.0.0/16" in request for request in heard] == [False, True]


async def test_refused_throwaway_peer_is_cleared_away(device: UserspaceDevice, tmp_path: Path) -> None:
    """If the request with the throwaway peer fails in the middle, that peer is removed by itself."""

    def answer(request: bytes) -> bytes:
        if request.startswith(b"get"):
            return HOLDS_ONE
        return b"errno=-22\n\n" if b"allowed_ip" in request else DONE

    async with server(tmp_path / "wg0.sock", answer) as heard:
        refusals = await device.apply(AllowedIPsDelta(remove=groups(((ONE, A),))))
        assert [refusal.prefix for refusal in refusals] == [ONE]
    throwaway = heard[-3].split(b"\n")[1]
    assert heard[-1] == b"set=1\n%b\nremove=true\n\n" % throwaway


async def test_cancelled_request_leaves_nothing_behind(device: UserspaceDevice, tmp_path: Path) -> None:
    """A request that is cancelled while it waits leaves no answer behind for the next one."""
    came = asyncio.Event()

    def answer(request: bytes) -> bytes:
        if request.startswith(b"get"):
            return HOLDS_ONE
        came.set()
        return b""

    async with server(tmp_path / "wg0.sock", answer) as heard:
        task = asyncio.ensure_future(device.configure(DeviceConfig(fwmark=1)))
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await device.read()).allowed_ips == {ONE: A}
    assert heard.count(b"connected") == 2
