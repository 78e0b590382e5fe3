"""BPF programs are assembled as they are written."""

from __future__ import annotations

import struct

import pytest

from peerway.protocols import bpf
from peerway.protocols.errors import LocalProtocolError


def test_a_jump_counts_what_it_skips() -> None:
    """A named place is a number of instructions from behind the jump; no name is the next instruction."""
    count, code = bpf.assemble(
        [(bpf.LD_B, 3), (bpf.JEQ, 7, "", "end"), "loop", (bpf.TAX, 0), "end", (bpf.RET, bpf.ALL)]
    )
    assert count == 4
    assert list(struct.iter_unpack("=HBBI", code)) == [
        (bpf.LD_B, 0, 0, 3),
        (bpf.JEQ, 0, 1, 7),
        (bpf.TAX, 0, 0, 0),
        (bpf.RET, 0, 0, 0xFFFFFFFF),
    ]


def test_what_is_too_far_or_behind_is_our_own_mistake() -> None:
    """A jump backward, or over more than 255 instructions, cannot be written."""
    programs: list[list[bpf.Statement]] = [
        [(bpf.JEQ, 0, "end", ""), *[(bpf.TAX, 0)] * 256, "end", (bpf.RET, 0)],
        ["begin", (bpf.TAX, 0), (bpf.JEQ, 0, "begin", "")],
    ]
    for program in programs:
        with pytest.raises(LocalProtocolError):
            bpf.assemble(program)


def test_a_number_is_turned_as_a_load_turns_it() -> None:
    """What lies in host order reads in network order."""
    for size, code in ((2, "H"), (4, "I")):
        assert struct.unpack(f">{code}", struct.pack(f"={code}", 0x1234)) == (bpf.turned(0x1234, size),)
