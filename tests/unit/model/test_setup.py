"""What is asked of a device: endpoints are read as wg(8) reads them, and secrets never show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model.keys import PublicKey, Secret
from peerway.model.setup import DeviceConfig, Endpoint, PeerConfig


@given(st.ip_addresses(), st.integers(1, 65535))
def test_endpoints_are_read(address: object, port: int) -> None:
    """Any address and port are read back from their text, IPv6 in brackets."""
    text = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    endpoint = Endpoint.parse(text)
    assert (endpoint.address, endpoint.port) == (address, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "::1:5",
        "[192.0.2.1]:5",
        "name:5",
        "[fe80::1%a\nb]:5",
    ],
)
def test_what_is_no_endpoint_is_refused_with_a_cure(text: str) -> None:
    """The sentence shows what was given and what an endpoint looks like."""
    with pytest.raises(ValueError, match="is not an endpoint such as"):
        Endpoint.parse(text)


def test_secrets_do_not_show() -> None:
    """A configuration can be printed without telling a key."""
    raw = b"secret" * 5 + b"!!"
    peer = PeerConfig(PublicKey(bytes(32)), psk=Secret(raw))
    assert "secret" not in repr(DeviceConfig(private_key=Secret(raw), peers=(peer,)))
