"""Derived addresses: the vectors of the design and of cunicu, and always below the prefix."""

from __future__ import annotations

import ipaddress

import nacl.encoding
import nacl.hash
import pytest
from hypothesis import given

from peerway.model import prefix as px
from peerway.model.derive import HASH_KEY, derived_address
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from tests.harness.wg_strategies import KEYS, PREFIXES

COUNTING = PublicKey(bytes(range(32)))


@pytest.mark.parametrize(
    ("prefix", "address"), [("fe80::/64", "fe80::a605:9cb1:27:11d6"), ("10.237.0.0/16", "10.237.166.5")]
)
def test_the_vectors_of_the_design(prefix: str, address: str) -> None:
    """The key with the bytes 00 01 .. 1f has the addresses of DESIGN section 6."""
    assert px.address_text(derived_address(px.parse(prefix), COUNTING)) == address


@pytest.mark.parametrize(
    ("key", "prefix", "address"),
    [
        ("buxfBfaNZI8UFT0cB1aj9YanhbLfxlTfd/hH3DrGaFA=", "fe80::/64", "fe80::d37d:237d:27f8:776c"),
        ("buxfBfaNZI8UFT0cB1aj9YanhbLfxlTfd/hH3DrGaFA=", "10.237.0.0/16", "10.237.211.125"),
        ("ZEki/XKEsqdjFyURo5Sm+g3vXSKJKpV5WmwWKAQqo2c=", "fe80::/64", "fe80::2acf:dc7e:546:6f82"),
    ],
)
def test_the_addresses_of_cunicu(key: str, prefix: str, address: str) -> None:
    """Two public keys have the addresses that cunicu's code gives them."""
    assert px.address_text(derived_address(px.parse(prefix), PublicKey.parse(key))) == address


@given(PREFIXES, KEYS)
def test_the_address_is_a_host_below_its_prefix(prefix: Prefix, key: PublicKey) -> None:
    """Whatever prefix and key: the result is one address, inside the prefix, and always the same."""
    address = derived_address(prefix, key)
    assert px.is_host(address)
    assert px.contains(prefix, address)
    assert address == derived_address(prefix, PublicKey(bytes(key)))


@given(PREFIXES, KEYS)
def test_it_is_the_hash_shifted_below_the_prefix(prefix: Prefix, key: PublicKey) -> None:
    """The host part is the beginning of SipHash-2-4-128, shifted right by the prefix length."""
    digest = nacl.hash.siphashx24(bytes(key), key=HASH_KEY, encoder=nacl.encoding.RawEncoder)
    network = ipaddress.ip_network(px.text(prefix))
    size = network.max_prefixlen // 8
    host = int(digest[:size].hex(), 16) >> network.prefixlen
    assert px.address_text(derived_address(prefix, key)) == str(network.network_address + host)
