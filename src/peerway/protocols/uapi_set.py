"""Requests of WireGuard's cross-platform userspace protocol: give and take AllowedIPs, and configure a device.

Source: https://www.wireguard.com/xplatform/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.device import Group
from peerway.model.keys import PublicKey, Secret
from peerway.model.setup import DeviceConfig, Endpoint, PeerConfig
from peerway.protocols import uapi_text


def give(groups: Iterable[Group]) -> bytes:
    """
    A set request that gives prefixes to peers; groups of one peer shall stand together. No peer is created.
    """
    return _blocks(groups, uapi_text.GIVE)


def take(groups: Iterable[Group]) -> bytes:
    """
    A set request that takes each prefix from the peer that is named, and from no other. Not known to wireguard-go
    before May 2025, which answers with an errno.
    """
    return _blocks(groups, uapi_text.TAKE)


def discard(columns: Iterable[Column], throwaway: PublicKey) -> bytes:
    """
    A set request that takes prefixes from WHOEVER holds them: a new peer gets them, and goes with them.
    """
    key = b"public_key=%b\n" % throwaway.hex().encode()
    given = (uapi_text.lines(uapi_text.GIVE, column) for column in columns)
    return _request((key, *given, key, b"remove=true\n"))


def remove_peer(key: PublicKey) -> bytes:
    """
    A set request that removes a peer; none is fine.
    """
    return _request((f"public_key={key.hex()}\nremove=true\n".encode(),))


def configure(config: DeviceConfig) -> bytes:
    """
    A set request that asks for all of a configuration. Raises ValueError with a sentence for a bad endpoint.
    """
    lines: list[str] = []
    if config.private_key is not None:
        lines.append(f"private_key={_hex(config.private_key)}\n")
    if config.listen_port is not None:
        lines.append(f"listen_port={config.listen_port}\n")
    if config.fwmark is not None:
        lines.append(f"fwmark={config.fwmark}\n")
    if config.replace_peers:
        lines.append("replace_peers=true\n")
    for peer in config.peers:
        lines += _configure_peer(peer)
    return _request(("".join(lines).encode(),))


def _configure_peer(peer: PeerConfig) -> Iterator[str]:
    yield f"public_key={peer.public_key.hex()}\n"
    if peer.remove:
        yield "remove=true\n"
        return
    if peer.update_only:
        yield "update_only=true\n"
    if peer.psk is not None:
        yield f"preshared_key={_hex(peer.psk)}\n"
    if peer.endpoint is not None:
        Endpoint.parse(peer.endpoint)
        yield f"endpoint={peer.endpoint}\n"
    if peer.keepalive is not None:
        yield f"persistent_keepalive_interval={peer.keepalive}\n"
    if peer.replace_allowed_ips:
        yield "replace_allowed_ips=true\n"
    for prefix in peer.allowed_ips:
        yield f"allowed_ip={px.text(prefix)}\n"


def _hex(secret: Secret) -> str:
    return secret.reveal().hex()


@lru_cache(maxsize=1 << 12)
def _head(key: PublicKey) -> bytes:
    return b"public_key=%b\nupdate_only=true\n" % key.hex().encode()


def _blocks(groups: Iterable[Group], verb: bytes) -> bytes:
    parts = [b"set=1\n"]
    last = None
    for key, column in groups:
        if key != last:
            parts.append(_head(key))
            last = key
        parts.append(uapi_text.lines(verb, column))
    parts.append(b"\n")
    return b"".join(parts)


def _request(parts: Iterable[bytes]) -> bytes:
    return b"".join((b"set=1\n", *parts, b"\n"))
