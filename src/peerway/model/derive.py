"""Addresses derived from public keys: the same on every node, so that a routing daemon can name a peer as next hop.

SipHash-2-4 with 128-bit output over the key; the first 4 (IPv4) or 16 (IPv6) bytes as a big-endian number, shifted
right by the prefix length, below the prefix. cunicu computes the same addresses.
"""

from __future__ import annotations

from typing import Final

from nacl.bindings import crypto_shorthash_siphashx24

from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix

HASH_KEY: Final = bytes.fromhex("67672c05d13e1194bb3891ff4f80b397")


def derived_address(prefix: Prefix, key: PublicKey) -> Prefix:
    """
    The address of `key` under `prefix`, as a host-length prefix.
    """
    digest: bytes = crypto_shorthash_siphashx24(bytes(key), HASH_KEY)
    bits = px.bits(prefix)
    number = int.from_bytes(digest[: bits // 8], "big") >> px.length(prefix)
    return Prefix((prefix & px.V6) | (px.number(prefix) | number) << 8 | bits)
