"""The text that a userspace WireGuard answers."""

from __future__ import annotations

from peerway.model.device import Reading
from peerway.protocols.gathering import Memory
from peerway.protocols.uapi import Answer
from tests.fuzz.outcome import Refused, outcome

KEY = "5e" * 32
LINES = "".join(f"allowed_ip=10.{number}.0.0/16\n" for number in range(60))
PEER = (
    f"public_key={KEY}\npreshared_key={KEY}\nprotocol_version=1\nendpoint=[fe80::1%7]:51820\nrx_bytes=5\ntx_bytes=4\n"
    "last_handshake_time_sec=2\nlast_handshake_time_nsec=3\npersistent_keepalive_interval=25\n"
)


def seeds() -> list[bytes]:
    head = f"private_key={KEY}\nlisten_port=51820\nfwmark=99\n"
    return [
        f"{head}{PEER}{LINES}allowed_ip=2001:db8::/32\nerrno=0\n\n".encode(),
        f"{head}{PEER}allowed_ip=10.0.0.0/8\n{PEER.replace('5e', '11')}errno=0\n\n".encode(),
        b"errno=-22\n\n",
    ]


def one(data: bytes) -> None:
    """
    Any text is an answer, a part of one, or a RemoteProtocolError; an answer says the same cut anywhere, and with what
    the last reading left. (What is wrong in a part may be told at once, or when more comes.)
    """
    whole = outcome(lambda: _read([data], None))
    for size in (1, 7, len(data) // 2 + 1):
        parts = [data[at : at + size] for at in range(0, len(data), size)] if len(data) < 4096 or size > 7 else [data]
        cut = outcome(lambda: _read(parts, None))  # noqa: B023 - called at once
        if isinstance(whole, Refused) or isinstance(cut, Refused):
            assert not any(isinstance(some, tuple) and some[0] for some in (whole, cut))
            continue
        assert _said(cut[0]) == _said(whole[0])
    if not isinstance(whole, Refused):
        assert _said(_read([data], whole[1])[0]) == _said(whole[0])


def _said(reading: Reading | None) -> object:
    return None if reading is None else (reading.device, sorted(reading.allowed_ips.items()))


def _read(parts: list[bytes], memory: Memory | None) -> tuple[Reading | None, Memory | None]:
    answer = Answer(lambda psk: psk[:1], memory)
    for part in parts:
        answer.feed(part)
    if not answer.done:
        return None, None
    reading = answer.reading("wg0", 3)
    return reading, answer.memory
