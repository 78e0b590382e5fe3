"""What an nlmon tap shows of WireGuard: requests to change a device, and the kernel's answers to them.

A classic BPF program lets only those through, and of a request only its headers and the attribute that names the
device, so that no key is ever copied to us. Our own requests bear a mark where a port id may stand, which the kernel
does not look at but repeats in its answer; by it the program leaves both out. Source: packet(7), linux/filter.h,
drivers/net/nlmon.c.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from struct import Struct
from typing import Final

from peerway.protocols import genetlink, wireguard
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

NETLINK_GENERIC: Final = 16
FRAME: Final = 512  # bytes; the filter passes at most 275

_INSTRUCTION: Final = Struct("=HBBI")
_PID: Final = 12  # where a message's header has its port id

_LD_W: Final = 0x20
_LD_H: Final = 0x28
_LD_B: Final = 0x30
_JEQ: Final = 0x15
_ADD: Final = 0x04
_RET: Final = 0x06
_RET_A: Final = 0x16
_PROTOCOL: Final = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL: which netlink it is

_GENL: Final = nl.HEADER.size
_ATTRIBUTE: Final = _GENL + genetlink.HEADER.size
_ANSWERED: Final = nl.HEADER.size + 4  # where an acknowledgement repeats the request's header


@dataclass(frozen=True, slots=True)
class SetRequest:
    """
    A WG_CMD_SET_DEVICE that is about to take effect: its identity, the device (name or ifindex; None if the request
    does not name it first), and whether an acknowledgement will follow.
    """

    pid: int
    seq: int
    device: int | str | None
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class SetAnswer:
    """
    The kernel's answer, after a request took effect or failed: the request's identity.
    """

    pid: int
    seq: int
    errno: int


def bpf(family: int, mark: int) -> tuple[int, bytes]:
    """
    The filter for SET requests of the WireGuard family and the answers to them, without those that bear the mark: how
    many instructions, and those.
    """
    # BPF loads big-endian, headers are in host order: the constants are turned. Lengths of the first attribute are
    # below 256, so one byte tells. A jump counts the instructions that it skips.
    length = _ATTRIBUTE + (0 if sys.byteorder == "little" else 1)
    program = (
        (_LD_W, 0, 0, _PROTOCOL),
        (_JEQ, 0, 19, NETLINK_GENERIC),
        (_LD_H, 0, 0, 4),
        (_JEQ, 0, 11, _turned(family)),
        (_LD_W, 0, 0, _PID),
        (_JEQ, 15, 0, _turned(mark, 4)),
        (_LD_B, 0, 0, _GENL),
        (_JEQ, 0, 13, wireguard.WG_CMD_SET_DEVICE),
        (_LD_H, 0, 0, _ATTRIBUTE + 2),
        (_JEQ, 2, 0, _turned(wireguard.WGDEVICE_A_IFINDEX)),
        (_JEQ, 1, 0, _turned(wireguard.WGDEVICE_A_IFNAME)),
        (_RET, 0, 0, _ATTRIBUTE),
        (_LD_B, 0, 0, length),
        (_ADD, 0, 0, _ATTRIBUTE),
        (_RET_A, 0, 0, 0),
        (_JEQ, 0, 5, _turned(nl.NLMSG_ERROR)),
        (_LD_H, 0, 0, _ANSWERED + 4),
        (_JEQ, 0, 3, _turned(family)),
        (_LD_W, 0, 0, _ANSWERED + _PID),
        (_JEQ, 1, 0, _turned(mark, 4)),
        (_RET, 0, 0, _ANSWERED + nl.HEADER.size),
        (_RET, 0, 0, 0),
    )
    return len(program), b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def parse(frame: bytes) -> SetRequest | SetAnswer:
    """
    Read what the filter passed. Raises RemoteProtocolError.
    """
    if len(frame) < _ATTRIBUTE:
        raise RemoteProtocolError(f"nlmon: a frame of {len(frame)} bytes")
    _, kind, flags, seq, pid = nl.HEADER.unpack_from(frame)
    if kind != nl.NLMSG_ERROR:
        return SetRequest(pid, seq, _device(frame[_ATTRIBUTE:]), bool(flags & nl.NLM_F_ACK))
    if len(frame) < _ANSWERED + nl.HEADER.size:
        raise RemoteProtocolError(f"nlmon: an acknowledgement of {len(frame)} bytes")
    error = int.from_bytes(frame[nl.HEADER.size : _ANSWERED], sys.byteorder, signed=True)
    _, _, _, asked_seq, asked_pid = nl.HEADER.unpack_from(frame, _ANSWERED)
    return SetAnswer(asked_pid, asked_seq, -error)


def _device(attribute: bytes) -> int | str | None:
    for kind, value in nl.walk(attribute) if attribute else ():
        if kind == wireguard.WGDEVICE_A_IFINDEX:
            return nl.u32(value)
        if kind == wireguard.WGDEVICE_A_IFNAME:
            return nl.text(value)
    return None


def _turned(number: int, size: int = 2) -> int:
    return int.from_bytes(number.to_bytes(size, sys.byteorder), "big")
