"""Routes: a path is a value that many prefixes share."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from peerway.model import prefix as px
from peerway.model.route import NextHop, Path

PATH = Path(254, 12, 32, (NextHop(7),))
OTHER: dict[str, Any] = {
    "table": 100,
    "protocol": 4,
    "metric": 0,
    "nexthops": (NextHop(7, px.parse_address("fe80::1")),),
    "nexthop_id": 5,
    "type": 6,
    "scope": 253,
    "tos": 16,
    "source": px.parse("fd00::/8"),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Path)])
def test_each_field_makes_another_path(name: str) -> None:
    """Two routes that differ in anything but their prefix have different paths, which hash apart."""
    other = replace(PATH, **{name: OTHER[name]})
    assert other != PATH
    assert len({other, PATH, replace(PATH)}) == 2


def test_a_shared_path_cannot_be_changed() -> None:
    """What a hundred thousand prefixes share stays as it is."""
    with pytest.raises(FrozenInstanceError):
        PATH.metric = 5  # type: ignore[misc]
