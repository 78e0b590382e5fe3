"""Lines as columns: read at once or one by one, they are the same prefixes, and what is odd is refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.protocols import uapi_columns
from tests.harness.wg_strategies import PREFIXES, long_columns


def simple(text: bytes) -> tuple[list[Prefix], list[Prefix]]:
    """The reference: one line after the other, by the standard library."""
    v4: list[Prefix] = []
    v6: list[Prefix] = []
    for line in text.decode().splitlines():
        network = ipaddress.ip_network(line.removeprefix("allowed_ip="), strict=False)
        (v4 if network.version == 4 else v6).append(px.parse(str(network)))
    return v4, v6


def read(text: bytes) -> tuple[list[Prefix], list[Prefix]]:
    v4, v6 = uapi_columns.read(text)
    return cl.prefixes(v4), cl.prefixes(v6)


def text_of(values: list[str]) -> bytes:
    return "".join(f"allowed_ip={value}\n" for value in values).encode("latin-1")


@given(st.lists(PREFIXES, min_size=1, max_size=40) | long_columns())
def test_mixed_lines_are_read_as_one_by_one(prefixes: list[Prefix]) -> None:
    """Both families in any order, of all lengths, in the way that Go and C write them."""
    text = text_of([px.text(prefix) for prefix in prefixes])
    assert read(text) == simple(text)


@given(st.lists(st.tuples(st.ip_addresses(), st.integers(0, 32)), min_size=1, max_size=20))
def test_host_bits_are_cleared(told: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]) -> None:
    """An address with a short length stands for its network."""
    text = text_of([f"{address}/{bits}" for address, bits in told])
    assert read(text) == simple(text)


GROUPS = st.lists(st.sampled_from(["", "0", "1", "ab", "FFFF", "0db8", "12345", "g"]), min_size=1, max_size=10)
V6_TEXTS = st.builds(lambda groups, bits: f"{':'.join(groups)}/{bits}", GROUPS, st.sampled_from(["0", "64", "128"]))


@given(st.lists(V6_TEXTS, min_size=1, max_size=3), st.booleans())
def test_what_is_read_is_right_and_what_is_canonical_is_read(texts: list[str], with_v4: bool) -> None:
    """Any heap of groups and colons: if it is read at all, the standard library reads the same."""
    text = text_of([*texts, "10.0.0.0/8"] if with_v4 else texts)
    try:
        found = read(text)
    except uapi_columns.OddError:
        with_odd = [value for value in texts if not canonical(value)]
        assert with_odd
    else:
        assert found == simple(text)


def canonical(value: str) -> bool:
    try:
        return str(ipaddress.ip_interface(value)) == value
    except ValueError:
        return False


@given(st.data(), st.lists(PREFIXES, min_size=1, max_size=5), st.binary(min_size=1, max_size=3))
def test_damaged_lines_are_refused_or_right(data: st.DataObject, prefixes: list[Prefix], junk: bytes) -> None:
    """Bytes that change anywhere give an error, or lines that the standard library reads to the same."""
    text = text_of([px.text(prefix) for prefix in prefixes])
    at = data.draw(st.integers(0, len(text) - 2))
    text = text[:at] + junk + text[at + data.draw(st.integers(0, 2)) :]
    text = text if text.endswith(b"\n") else text + b"\n"
    try:
        found = read(text)
    except uapi_columns.OddError:
        return
    assert all(line.startswith(b"allowed_ip=") for line in text.splitlines())
    assert found == simple(text)


@pytest.mark.parametrize(
    "value",
    [
        "1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3/8", "1.2.3.256/8", "01.2.3.4/8", "1.2.3.4/-1", "1.2.3.4/ 8",
        "1.2.3.4/08", "1.2.3.04/8", "1.2.3.999/8", "1.2.3.4/100", "1..2.3/8", ".1.2.3/8", "1.2.3.4567/8", "1/2/3/4/5",
        "1.2.3.4./8", "::/129", "::/1000", "::/", ":::/1", "fe80::1%eth0/64", "1:2:3:4:5:6:7/16", "1::2::3/16",
        "1:2:3:4:5:6:7:8:9/16", "1:2:3:4::5:6:7:8/16", ":1:2:3:4:5:6:7/16", "1:2:3:4:5:6:7:/16", ":/16", "::1:/16",
        "12345::/16", "::g/16", "::1:2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7:8::/128", "1::/2:64", "1/2:3:4:5:6:7:8:64",
        "1.2.3.\xba/8", "1.2.3.4/\xba", "::ffff:1.2.3.4/128", "", "/", "1.2.3.4/8/8", "1.2.3.4/8=",
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", ["10.0.0.0/8", "2001:db8::/32"])
def test_odd_line_is_refused_among_good_ones(value: str, beside: str) -> None:
    """One line that is not as WireGuards write it is enough for the slow reader to be asked."""
    with pytest.raises(uapi_columns.OddError):
        uapi_columns.read(text_of([beside, value, beside]))


@pytest.mark.parametrize("line", ["endpoint=192.0.2.1:5/24", "allowed_ip-1.2.3.4/24", "allowed-ip=1.2.3.4/24", "x"])
def test_other_line_is_refused(line: str) -> None:
    """A line of another field is never a prefix."""
    with pytest.raises(uapi_columns.OddError):
        uapi_columns.read(text_of(["10.0.0.0/8"]) + line.encode() + b"\n")


@pytest.mark.parametrize(
    "value", ["::/0", "::1/128", "1::/16", "1:2:3:4:5:6:7::/112", "::2:3:4:5:6:7:8/128", "1::3:4:5:6:7:8/128",
              "1:2:3:4:5:6:7:8/128", "0.0.0.0/0", "255.255.255.255/32"],
)  # fmt: skip
def test_edges_are_read(value: str) -> None:
    """The shortest and the longest ways to write a prefix need no slow reader."""
    assert read(text_of([value])) == simple(text_of([value]))
