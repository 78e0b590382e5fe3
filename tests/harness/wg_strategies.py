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
