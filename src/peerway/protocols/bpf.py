"""Classic BPF programs (linux/filter.h), written with names for the places that are jumped to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from struct import Struct
from typing import Final

from peerway.protocols.errors import LocalProtocolError

LD_W: Final = 0x20  # A = a word of the packet, which is read in network order
LD_H: Final = 0x28
LD_B: Final = 0x30
LD_W_X: Final = 0x40  # the same, X further on
LD_H_X: Final = 0x48
LD_K: Final = 0x00
LD_LEN: Final = 0x80
LDX_K: Final = 0x01
TAX: Final = 0x07
OR_X: Final = 0x4C
LSH: Final = 0x64
JEQ: Final = 0x15
JEQ_X: Final = 0x1D
JGE: Final = 0x35
JSET: Final = 0x45
RET: Final = 0x06

NLATTR: Final = 0xFFFFF000 + 12  # SKF_AD_OFF + SKF_AD_NLATTR: where the attribute X is, from A on; 0 if nowhere
ALL: Final = 0xFFFFFFFF  # of RET: pass the whole packet

_INSTRUCTION: Final = Struct("=HBBI")

Statement = tuple[int, int] | tuple[int, int, str, str] | str
"""A code and its operand, for a jump also where it leads if true and if false; or the name of the next place. An
empty name is the next instruction."""


def assemble(program: Sequence[Statement]) -> tuple[int, bytes]:
    """
    A program as the kernel takes it: how many instructions, and those.
    """
    places: dict[str, int] = {}
    instructions: list[tuple[int, int, str, str]] = []
    for statement in program:
        match statement:
            case str(name):
                places[name] = len(instructions)
            case (code, operand):
                instructions.append((code, operand, "", ""))
            case (code, operand, true, false):
                instructions.append((code, operand, true, false))

    def distance(at: int, name: str) -> int:
        far = places[name] - at - 1 if name else 0
        if not 0 <= far <= 255:
            raise LocalProtocolError(f"BPF: {name} is {far} instructions away")
        return far

    packed = (
        _INSTRUCTION.pack(code, distance(at, true), distance(at, false), operand)
        for at, (code, operand, true, false) in enumerate(instructions)
    )
    return len(instructions), b"".join(packed)


def turned(number: int, size: int) -> int:
    """
    What a load of `size` bytes gives where this number stands in host order.
    """
    return int.from_bytes(number.to_bytes(size, sys.byteorder), "big")
