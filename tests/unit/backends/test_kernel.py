"""A kernel device against a socket that answers as a test wants: interrupted dumps, errors, and an abandoned dump."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from peerway.backends import kernel
from peerway.backends.kernel import READINGS, KernelDevice
from peerway.backends.netlink import NetlinkError
from peerway.model.device import AllowedIPsDelta
from peerway.model.keys import PublicKey
from peerway.model.prefix import parse
from peerway.model.setup import DeviceConfig, PeerConfig
from peerway.protocols import genetlink, wireguard, wireguard_set
from peerway.protocols import netlink as nl
from tests.harness.columns import groups

MARK = 4711
A = PublicKey(bytes([17] * 32))
ONE, TWO = parse("10.1.0.0/16"), parse("10.2.0.0/16")
DEVICE = genetlink.HEADER.pack(0, 1) + nl.attribute_u32(1, 3) + nl.attribute_text(2, "wg0")
WHOLE = wireguard_set.give(3, groups([(ONE, A), (TWO, A)])) + nl.attribute_text(
    2, "wg0"
)  # read as an answer, it is one
CUT = wireguard_set.give(3, groups([(ONE, A)])) + nl.attribute_text(2, "wg0")


class Dump:
    def __init__(self, payloads: list[bytes], *, interrupted: bool = False) -> None:
        self.payloads, self._interrupted, self.interrupted = payloads, interrupted, False

    def __iter__(self) -> Iterator[tuple[int, memoryview]]:
        for payload in self.payloads:
            yield 36, memoryview(payload)
        self.interrupted = self._interrupted


class Socket:
    """Stands in for NetlinkSocket."""

    dumps: Iterator[Dump]
    error: NetlinkError | None
    opened: int
    sent: list[bytes]

    def __init__(self, protocol: int, *, mark: int) -> None:
        assert protocol == 16
        assert mark == MARK, "the tap would show us our own requests"
        Socket.opened += 1
        self.closed = False

    def request(self, kind: int, flags: int, payload: bytes = b"", *, doing: str = "") -> list[nl.Message]:
        assert flags == 0
        assert doing, "an error must say what was being done"
        if kind == genetlink.GENL_ID_CTRL:
            assert b"wireguard\0" in payload
            return [nl.Message(16, 0, 1, 0, memoryview(genetlink.HEADER.pack(1, 2) + nl.attribute_u16(1, 36)))]
        assert kind == 36
        Socket.sent.append(payload)
        if Socket.error:
            raise Socket.error
        return []

    def dump(self, kind: int, payload: bytes = b"", *, doing: str = "") -> Dump:
        assert not self.closed
        assert doing == "reading wg0"
        assert (kind, payload) == (36, wireguard.get_request(3))
        return next(Socket.dumps)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> KernelDevice:
    monkeypatch.setattr(kernel, "NetlinkSocket", Socket)
    monkeypatch.setattr(kernel, "PATIENCE", 0)
    Socket.opened, Socket.sent, Socket.error = 0, [], None
    return KernelDevice("wg0", 3, MARK)


async def test_interrupted_dump_is_made_again(device: KernelDevice) -> None:
    """A dump that another change interrupted lacks entries, without an error; it never comes out."""
    Socket.dumps = iter([Dump([CUT], interrupted=True), Dump([CUT], interrupted=True), Dump([WHOLE])])
    assert (await device.read()).allowed_ips == {ONE: A, TWO: A}


async def test_device_that_never_rests_is_an_error(device: KernelDevice) -> None:
    """Patience ends: rather an error than a reading that may lack entries."""
    Socket.dumps = iter([Dump([CUT], interrupted=True)] * (READINGS + 1))
    with pytest.raises(OSError, match=r"wg0 was changed during each of 8 readings") as told:
        await device.read()
    assert told.value.errno == errno.EBUSY
    assert len(list(Socket.dumps)) == 1


async def test_answer_that_cannot_be_read_is_an_error(device: KernelDevice) -> None:
    """Bytes that are no answer raise OSError, and the next reading has a new socket."""
    Socket.dumps = iter([Dump([b"\0"]), Dump([]), Dump([WHOLE])])
    for _ in range(2):
        with pytest.raises(OSError, match="wg0: ") as told:
            await device.read()
        assert told.value.errno == errno.EPROTO
    assert (await device.read()).allowed_ips == {ONE: A, TWO: A}
    assert Socket.opened == 3


async def test_cancelled_reading_leaves_no_dump_behind(device: KernelDevice) -> None:
    """The rest of an abandoned dump would stand in the way, so the next reading has a new socket."""
    Socket.dumps = iter([Dump([CUT] * 100), Dump([WHOLE])])
    task = asyncio.ensure_future(device.read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await device.read()).allowed_ips == {ONE: A, TWO: A}
    assert Socket.opened == 2


async def test_error_without_a_prefix_is_raised(device: KernelDevice) -> None:
    """Gone, forbidden, not WireGuard: nothing that another prefix could cure."""
    for number in (errno.ENODEV, errno.EPERM, errno.EOPNOTSUPP):
        Socket.sent, Socket.error = [], NetlinkError(number)
        for delta in (
            AllowedIPsDelta(groups(((ONE, A), (TWO, A)))),
            AllowedIPsDelta(remove=groups(((ONE, A), (TWO, A)))),
        ):
            with pytest.raises(NetlinkError):
                await device.apply(delta)
        assert len(Socket.sent) == 2


async def test_refused_prefixes_are_told(device: KernelDevice) -> None:
    """ENOMEM may be about one prefix, so each is tried alone."""
    Socket.error = NetlinkError(errno.ENOMEM)
    refusals = await device.apply(AllowedIPsDelta(groups(((ONE, A), (TWO, A)))))
    assert [(refusal.prefix, refusal.errno) for refusal in refusals] == [(ONE, errno.ENOMEM), (TWO, errno.ENOMEM)]


async def test_zones_by_name_become_numbers(device: KernelDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel knows interfaces by number; a name that is not there is the caller's mistake."""
    monkeypatch.setattr(socket, "if_nametoindex", {"eth0": 7}.__getitem__)
    for zone in ("eth0", "7"):
        await device.configure(DeviceConfig(peers=(PeerConfig(A, endpoint=f"[fe80::1%{zone}]:9"),)))
    assert Socket.sent[0] == Socket.sent[1]
    monkeypatch.undo()
    device = KernelDevice("wg0", 3)
    with pytest.raises(ValueError, match="interface nowhere0, which is not there"):
        await device.configure(DeviceConfig(peers=(PeerConfig(A, endpoint="[fe80::1%nowhere0]:9"),)))
