from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from peerway import config_values as values
from peerway.backends.names import MAX_TABLE, Names
from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.policy import ALL_PROTOCOLS, Accept

NAMES = Names({"main": 254, "blue": 100}, {"bird": 12, "own": 90})
prefixes = st.builds(px.make, st.just(px.AF_INET), st.binary(min_size=4, max_size=4), st.integers(0, 30)) | st.builds(
    px.make, st.just(px.AF_INET6), st.binary(min_size=16, max_size=16), st.integers(0, 126)
)


@st.composite
def accepts(draw: st.DrawFn) -> Accept:
    prefix = draw(prefixes)
    ge = draw(st.integers(px.length(prefix), px.bits(prefix)))
    return Accept(prefix, ge, draw(st.integers(ge, px.bits(prefix))))


VALUES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "table": (values.Table, st.integers(1, MAX_TABLE)),
    "protocol of ours": (values.OwnProtocol, st.sampled_from([5, 87, 90, 255])),
    "protocols": (
        values.Protocols,
        st.builds(values.ProtocolRule, st.integers(0, 255), st.booleans()) | st.just(values.ProtocolRule(None, True)),
    ),
    "prefix": (values.DerivePrefix, prefixes),
    "accept": (values.AcceptEntry, accepts()),
    "key": (values.Key, st.binary(min_size=32, max_size=32).map(PublicKey)),
    "duration": (values.Duration, st.floats(0.01, 3600)),
    "group": (values.Group, st.integers(0, 0xFFFFFFFE)),
    "path": (values.AbsolutePath, st.sampled_from([Path("/a"), Path("/a/b.c")])),
}


@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
def test_what_is_written_is_read_back(kind: str, data: st.DataObject) -> None:
    """Each kind of value, written as text and read again, is itself."""
    annotation, strategy = VALUES[kind]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    value = data.draw(strategy)
    text = adapter.dump_python(value, mode="json", context=NAMES)
    assert isinstance(text, str | int)
    assert adapter.validate_python(text, context=NAMES) == value


def test_a_group_must_exist_by_its_name() -> None:
    """A name is looked up, a number is taken as it is; what is neither is told with the cure."""
    group: TypeAdapter[int] = TypeAdapter(values.Group)
    assert group.validate_python("root") == 0
    assert group.dump_python(0) == "root"
    for wrong in ("no such group", -1, 0xFFFFFFFF, True, None):
        with pytest.raises(ValidationError, match=r"group|neither a name nor a number"):
            group.validate_python(wrong)


def test_names_are_written_where_there_are_some() -> None:
    """A number with a name is written as its name, any other as a number."""
    table: TypeAdapter[int] = TypeAdapter(values.Table)
    assert [table.dump_python(number, context=NAMES) for number in (100, 101)] == ["blue", 101]


def test_without_rules_nothing_counts_twice() -> None:
    """* counts all, an exclusion takes one away, and the order decides."""
    everything, no_bird = values.ProtocolRule(None, counts=True), values.ProtocolRule(12, counts=False)
    assert values.counting((everything, no_bird)) == values.counting((no_bird,)) == ALL_PROTOCOLS - {12}
    assert values.counting((no_bird, everything)) == ALL_PROTOCOLS


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (values.Duration, True),
        (values.Duration, "1 week"),
        (values.Duration, "nan"),
        (values.Duration, float("inf")),
        (values.AbsolutePath, 3),
        (values.AbsolutePath, "/a\0b"),
        (values.Table, 1.5),
        (values.Table, None),
        (values.AcceptEntry, 3),
        (values.PeerName, "-x"),
        (values.PeerName, ""),
        (values.PeerName, "x" * 33),
        (values.InterfacePattern, ""),
        (values.InterfacePattern, "a b"),
    ],
)
def test_what_is_no_such_value_is_refused(kind: Any, value: object) -> None:
    """A value of the wrong type or shape is an error with a sentence, never a crash."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    with pytest.raises(ValidationError) as raised:
        adapter.validate_python(value)
    assert raised.value.errors()[0]["type"] == "value_error"
