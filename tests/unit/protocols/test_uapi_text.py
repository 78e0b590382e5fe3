"""Columns as lines: what is written without a step for each prefix is what is written one by one."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.protocols import uapi_text
from tests.harness.wg_strategies import PREFIXES, long_columns

VERBS = st.sampled_from([uapi_text.GIVE, uapi_text.TAKE])


@given(st.lists(PREFIXES, max_size=40), VERBS)
def test_lines_of_many_are_the_lines_of_each(prefixes: list[Prefix], verb: bytes) -> None:
    """Each prefix has its line, in order, and a parser that knows nothing of ours finds the same network in it."""
    for column in cl.columns(prefixes):
        check(cl.prefixes(column), uapi_text.lines(verb, column), verb)


@given(long_columns(), VERBS)
def test_every_length_and_octet_is_written(prefixes: list[Prefix], verb: bytes) -> None:
    """Hundreds of prefixes, of all lengths and with any number of zeros at the end."""
    for column in cl.columns(prefixes):
        check(cl.prefixes(column), uapi_text.lines(verb, column), verb)


def check(prefixes: list[Prefix], text: bytes, verb: bytes) -> None:
    lines = text.decode().splitlines()
    assert text.endswith(b"\n")
    assert len(lines) == len(prefixes)
    for line, prefix in zip(lines, prefixes, strict=True):
        assert line.startswith(verb.decode())
        network = ipaddress.ip_network(line.removeprefix(verb.decode()))
        assert str(network) == px.text(prefix)


def test_impossible_length_is_written_as_it_is() -> None:
    """What the device shall refuse is told to it, for it alone can say so."""
    bad = [Prefix((10 << 24 | number << 8) << 8 | 33) for number in range(20)]
    assert uapi_text.lines(uapi_text.GIVE, cl.make(px.AF_INET, bad)).splitlines() == [
        f"allowed_ip=10.0.{number}.0/33".encode() for number in range(20)
    ]


@pytest.mark.parametrize("family", cl.FAMILIES)
def test_nothing_is_no_line(family: int) -> None:
    """An empty column has no lines."""
    assert uapi_text.lines(uapi_text.GIVE, cl.none(family)) == b""
