from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.unit.cli.conftest import Peerway, run
from tests.unit.control.fake_daemon import KEY, OTHER


def test_the_vectors_of_the_design(alone: Peerway) -> None:
    """The key 00 01 .. 1f has the addresses of DESIGN section 6; no daemon is needed."""
    assert alone("addresses", KEY).stdout == "fe80::a605:9cb1:27:11d6\n"
    done = alone("addresses", "-p", "fe80::/64", "-p", "10.237.0.0/16", KEY)
    assert done.stdout.splitlines() == ["fe80::a605:9cb1:27:11d6", "10.237.166.5"]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4))
def test_each_key_has_a_line_for_each_prefix(raw: list[bytes]) -> None:
    """The lines are those of model.derive, keys in their order, prefixes in theirs."""
    keys = [PublicKey(key) for key in raw]
    prefixes = ["fd00::/8", "10.0.0.0/8"]
    done = run("addresses", "-p", prefixes[0], "-p", prefixes[1], "--", *map(str, keys))
    assert done.stdout.splitlines() == [
        px.address_text(derived_address(px.parse(prefix), key)) for key in keys for prefix in prefixes
    ]


def test_keys_may_come_from_standard_input(alone: Peerway) -> None:
    """A key of - reads the rest, one or many a line."""
    assert len(alone("addresses", "-", input=f"{KEY}\n{OTHER}\n").stdout.splitlines()) == 2


BAD_PREFIXES = ("x", "fe80::1/64", "::1/128")


@pytest.mark.parametrize("words", [[], ["x"], [KEY[:-2]], *(["-p", prefix, KEY] for prefix in BAD_PREFIXES)])
def test_a_bad_key_or_prefix_is_exit_2(alone: Peerway, words: list[str]) -> None:
    """What is no key, or no prefix with room, is wrong usage; a key is not repeated."""
    done = alone("addresses", *words)
    assert done.exit_code == 2
    assert KEY[:-2] not in done.stderr
