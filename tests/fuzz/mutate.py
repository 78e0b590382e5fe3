"""Inputs changed at random: for short runs that are the same each time, and where atheris is not to be had."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

LONGEST: Final = 1 << 14
NUMBERS: Final = (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 28, 32, 33, 64, 127, 128, 129, 254, 255)


def mutants(inputs: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """So many changed inputs; the same for the same seed and inputs."""
    dice = random.Random(seed)
    for _ in range(count):
        data = bytearray(dice.choice(inputs))
        for _ in range(dice.choice((1, 1, 2, 4, 8))):
            _change(data, dice, inputs)
        yield bytes(data[:LONGEST])


def _change(data: bytearray, dice: random.Random, inputs: Sequence[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    span = dice.choice((1, 2, 4, 8, 16, 64))
    match dice.randrange(7):
        case 0:
            data[at : at + 1] = bytes([dice.choice(NUMBERS)])
        case 1:
            data[at : at + 1] = bytes([dice.randrange(256)])
        case 2:
            del data[at : at + span]
        case 3:
            data[at:at] = data[at : at + span]
        case 4:
            data[at:at] = dice.randbytes(span)
        case 5:
            number = dice.choice((*NUMBERS, 0xFFFF, 0xFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0x7FFFFFFF))
            size = dice.choice((2, 4))
            data[at : at + size] = (number & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        case _:
            other = dice.choice(inputs)
            start = dice.randrange(len(other) + 1)
            data[at : at + span] = other[start : start + span * 4]
