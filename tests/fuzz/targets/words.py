"""What people write: prefixes, addresses, keys, accept lists, endpoints."""

from __future__ import annotations

import contextlib

from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.policy import Accept
from peerway.model.setup import Endpoint


def seeds() -> list[bytes]:
    return [
        b"10.0.0.0/8",
        b"default",
        b"2001:db8::/32 ge 40 le 48",
        b"fe80::1%wg0",
        b"HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
        b"[fe80::1%7]:51820",
        b"192.0.2.1:51820",
    ]


def one(data: bytes) -> None:
    """
    Any words are read, or a ValueError; what was read is written, and read as the same.
    """
    text = data.decode("utf-8", "surrogateescape")
    for strict in (False, True):
        with contextlib.suppress(ValueError):
            prefix = px.parse(text, strict=strict)
            assert px.parse(px.text(prefix), strict=True) == prefix
    with contextlib.suppress(ValueError):
        address = px.parse_address(text)
        assert px.parse_address(px.address_text(address)) == address
    with contextlib.suppress(ValueError):
        key = PublicKey.parse(text)
        assert PublicKey.parse(str(key)) == key
    with contextlib.suppress(ValueError):
        entry = Accept.parse(text)
        assert px.length(entry.prefix) <= entry.ge <= entry.le <= px.bits(entry.prefix)
    with contextlib.suppress(ValueError):
        Endpoint.parse(text)
