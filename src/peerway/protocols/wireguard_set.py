"""WG_CMD_SET_DEVICE: requests that give and take AllowedIPs, and that configure a device (linux/wireguard.h).

A request is not rolled back: what stands before the thing that is refused stays. The nest of all peers has a length
of 16 bits, so callers and `configure` keep a request below BUDGET; a second nest in a message would be ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.device import Group
from peerway.model.keys import PublicKey
from peerway.model.setup import DeviceConfig, Endpoint, PeerConfig
from peerway.protocols import genetlink, wireguard_entries
from peerway.protocols import netlink as nl
from peerway.protocols import wireguard as wg

WGDEVICE_F_REPLACE_PEERS: Final = 1
WGPEER_F_REMOVE_ME: Final = 1
WGPEER_F_REPLACE_ALLOWEDIPS: Final = 2
WGPEER_F_UPDATE_ONLY: Final = 4

BUDGET: Final = 60_000  # bytes of peers in one request
PREFIX_COST: Final = 48  # bytes of an IPv6 prefix with its flags
PEER_COST: Final = 52  # bytes of a peer's nest, key, flags, and the head of its AllowedIPs


def give(ifindex: int, groups: Iterable[Group]) -> bytes:
    """
    Give prefixes to peers; groups of one peer shall stand together. No peer is created.
    """
    return _device(ifindex, _blocks(groups, take=False))


def take(ifindex: int, groups: Iterable[Group]) -> bytes:
    """
    Take each prefix from the peer that is named, and from no other. EINVAL before Linux 6.16, with nothing removed.
    """
    return _device(ifindex, _blocks(groups, take=True))


def discard(ifindex: int, columns: Iterable[Column], throwaway: PublicKey) -> bytes:
    """
    Take prefixes from WHOEVER holds them: a new peer gets them and goes with them, which nobody can observe. After
    an error the new peer may be left, so `remove_peer` it.
    """
    given = _allowed_ips(map(wireguard_entries.write, columns))
    return _device(ifindex, (_peer(throwaway, 0, given), _peer(throwaway, WGPEER_F_REMOVE_ME)))


def remove_peer(ifindex: int, key: PublicKey) -> bytes:
    """
    Remove a peer; none is fine.
    """
    return _device(ifindex, (_peer(key, WGPEER_F_REMOVE_ME | WGPEER_F_UPDATE_ONLY),))


def configure(ifindex: int, config: DeviceConfig) -> Iterator[bytes]:
    """
    The requests that ask for all of a configuration, in order. Raises ValueError with a sentence for a bad endpoint.
    """
    first: list[bytes] = []
    if config.private_key is not None:
        first.append(nl.attribute(wg.WGDEVICE_A_PRIVATE_KEY, config.private_key.reveal()))
    if config.listen_port is not None:
        first.append(nl.attribute_u16(wg.WGDEVICE_A_LISTEN_PORT, config.listen_port))
    if config.fwmark is not None:
        first.append(nl.attribute_u32(wg.WGDEVICE_A_FWMARK, config.fwmark))
    if config.replace_peers:
        first.append(nl.attribute_u32(wg.WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS))
    blocks: list[bytes] = []
    size = 0
    for block in (block for peer in config.peers for block in _configure_peer(peer)):
        if size + len(block) > BUDGET:
            yield _device(ifindex, blocks, first)
            blocks, size, first = [], 0, []
        blocks.append(block)
        size += len(block)
    if first or blocks:
        yield _device(ifindex, blocks, first)


def _configure_peer(peer: PeerConfig) -> Iterator[bytes]:
    if peer.remove:
        yield _peer(peer.public_key, WGPEER_F_REMOVE_ME)
        return
    flags = WGPEER_F_UPDATE_ONLY if peer.update_only else 0
    if peer.replace_allowed_ips:
        flags |= WGPEER_F_REPLACE_ALLOWEDIPS
    parts: list[bytes] = []
    if peer.psk is not None:
        parts.append(nl.attribute(wg.WGPEER_A_PRESHARED_KEY, peer.psk.reveal()))
    if peer.endpoint is not None:
        parts.append(nl.attribute(wg.WGPEER_A_ENDPOINT, _sockaddr(Endpoint.parse(peer.endpoint))))
    if peer.keepalive is not None:
        parts.append(nl.attribute_u16(wg.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.keepalive))
    step = BUDGET // PREFIX_COST // 4
    for at in range(0, max(1, len(peer.allowed_ips)), step):
        some = [wireguard_entries.write(column) for column in cl.columns(peer.allowed_ips[at : at + step])]
        yield _peer(peer.public_key, flags, *parts, _allowed_ips(some) if some else b"")
        flags, parts = WGPEER_F_UPDATE_ONLY, []


def _sockaddr(endpoint: Endpoint) -> bytes:
    port = endpoint.port.to_bytes(2, "big")
    address = endpoint.address
    if address.version == 4:
        return wg.SOCKADDR_IN.pack(px.AF_INET, port, address.packed)
    zone = address.scope_id or "0"
    if not zone.isdecimal():
        raise ValueError(f"the endpoint's zone {zone!r} is no number; an interface's index is meant here")
    return wg.SOCKADDR_IN6.pack(px.AF_INET6, port, address.packed, int(zone))


def _device(ifindex: int, peers: Iterable[bytes], first: Iterable[bytes] = ()) -> bytes:
    blocks = b"".join(peers)
    return b"".join(
        (
            genetlink.HEADER.pack(wg.WG_CMD_SET_DEVICE, wg.VERSION),
            nl.attribute_u32(wg.WGDEVICE_A_IFINDEX, ifindex),
            *first,
            nl.nested(wg.WGDEVICE_A_PEERS, blocks) if blocks else b"",
        )
    )


def _peer(key: PublicKey, flags: int, *parts: bytes) -> bytes:
    return nl.nested(
        0,
        nl.attribute(wg.WGPEER_A_PUBLIC_KEY, key),
        nl.attribute_u32(wg.WGPEER_A_FLAGS, flags) if flags else b"",
        *parts,
    )


def _allowed_ips(entries: Iterable[bytes]) -> bytes:
    """
    The attribute that holds a peer's AllowedIPs.
    """
    return nl.nested(wg.WGPEER_A_ALLOWEDIPS, *entries)


def _blocks(groups: Iterable[Group], *, take: bool) -> Iterator[bytes]:
    for key, same in groupby(groups, itemgetter(0)):
        entries = (wireguard_entries.write(column, take=take) for _, column in same)
        yield _peer(key, WGPEER_F_UPDATE_ONLY, _allowed_ips(entries))
