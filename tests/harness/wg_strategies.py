"""Hypothesis strategies for WireGuard: prefixes of both families, keys, and maps of AllowedIPs."""

from __future__ import annotations

from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.keys import PublicKey, Secret


def _prefixes(family: int, size: int) -> st.SearchStrategy[px.Prefix]:
    lengths = st.integers(0, 8 * size)
    return st.builds(px.make, st.just(family), st.binary(min_size=size, max_size=size), lengths)


PREFIXES = _prefixes(px.AF_INET, 4) | _prefixes(px.AF_INET6, 16)
KEYS = st.builds(PublicKey, st.binary(min_size=32, max_size=32))
SECRETS = st.builds(Secret, st.binary(min_size=32, max_size=32))
ALLOWED_IPS = st.dictionaries(PREFIXES, st.sampled_from([PublicKey(bytes([n]) * 32) for n in range(5)]), max_size=30)


@st.composite
def long_columns(draw: st.DrawFn) -> list[px.Prefix]:
    """Hundreds of prefixes of both families, whose address bits are mostly one pattern; far quicker than a list."""
    raw = draw(st.binary(min_size=16, max_size=16)) + draw(st.binary(min_size=16, max_size=16))
    step = draw(st.integers(1, 12))
    v4 = [
        px.make(px.AF_INET, _rolled(raw, number * step)[:4], number % 33) for number in range(draw(st.integers(0, 150)))
    ]
    v6 = [
        px.make(px.AF_INET6, _rolled(raw, number)[:16], number * step % 129)
        for number in range(draw(st.integers(0, 150)))
    ]
    return [*v4, *v6] or [px.DEFAULT_V4]


def _rolled(raw: bytes, by: int) -> bytes:
    number = int.from_bytes(raw, "big") * (2 * by + 1) & ((1 << 8 * len(raw)) - 1)
    return number.to_bytes(len(raw), "big")
