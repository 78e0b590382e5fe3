"""WireGuard's generic netlink family: the request for a device, and its answer (linux/wireguard.h).

The answer is a dump of several messages. A peer with many AllowedIPs is continued in the next message: the first part
has all of its attributes, later ones only the key and more AllowedIPs. Secrets are dropped here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from struct import Struct
from typing import Final

from peerway.model import prefix as px
from peerway.model.device import Backend, Device, Peer, Reading
from peerway.model.keys import LENGTH, PublicKey
from peerway.protocols import genetlink, wireguard_entries
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Gathering, Memory

FAMILY: Final = "wireguard"
VERSION: Final = 1
WG_CMD_GET_DEVICE: Final = 0
WG_CMD_SET_DEVICE: Final = 1

WGDEVICE_A_IFINDEX: Final = 1
WGDEVICE_A_IFNAME: Final = 2
WGDEVICE_A_PRIVATE_KEY: Final = 3
WGDEVICE_A_PUBLIC_KEY: Final = 4
WGDEVICE_A_FLAGS: Final = 5
WGDEVICE_A_LISTEN_PORT: Final = 6
WGDEVICE_A_FWMARK: Final = 7
WGDEVICE_A_PEERS: Final = 8

WGPEER_A_PUBLIC_KEY: Final = 1
WGPEER_A_PRESHARED_KEY: Final = 2
WGPEER_A_FLAGS: Final = 3
WGPEER_A_ENDPOINT: Final = 4
WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: Final = 5
WGPEER_A_LAST_HANDSHAKE_TIME: Final = 6
WGPEER_A_RX_BYTES: Final = 7
WGPEER_A_TX_BYTES: Final = 8
WGPEER_A_ALLOWEDIPS: Final = 9

SOCKADDR_IN: Final = Struct("=H2s4s8x")  # family, port, address
SOCKADDR_IN6: Final = Struct("=H2s4x16sI")  # family, port, flow info left out, address, scope
_TIMESPEC: Final = Struct("=qq")


def get_request(ifindex: int) -> bytes:
    """
    The payload of a dump request for one device.
    """
    return genetlink.HEADER.pack(WG_CMD_GET_DEVICE, VERSION) + nl.attribute_u32(WGDEVICE_A_IFINDEX, ifindex)


class DeviceDump:
    """
    The answer to a dump, put together from its messages.
    """

    __slots__ = ("_device", "_digest", "_gathering", "_peers")

    def __init__(self, digest: Callable[[bytes], bytes], memory: Memory | None = None) -> None:
        """
        `digest` turns a preshared key into what may be remembered of it (model.device.Peer.psk). `memory` is what the
        last dump of the same device left.
        """
        self._digest = digest
        self._device: dict[int, memoryview] = {}
        self._peers: dict[PublicKey, Peer] = {}
        self._gathering = Gathering(memory)

    def feed(self, payload: nl.Buffer) -> None:
        """
        Take the next message. Raises RemoteProtocolError.
        """
        found = genetlink.attributes(payload)
        peers = found.pop(WGDEVICE_A_PEERS, None)
        found.pop(WGDEVICE_A_PRIVATE_KEY, None)
        if not self._device:
            self._device = {kind: memoryview(bytes(value)) for kind, value in found.items()}
        for _, peer in nl.walk(peers) if peers is not None else ():
            self._peer(peer)

    def reading(self) -> Reading:
        """
        The device. Raises RemoteProtocolError if nothing came.
        """
        found = self._device
        if WGDEVICE_A_IFINDEX not in found or WGDEVICE_A_IFNAME not in found:
            raise RemoteProtocolError("wireguard: a dump names no device")
        device = Device(
            nl.text(found[WGDEVICE_A_IFNAME]),
            nl.u32(found[WGDEVICE_A_IFINDEX]),
            Backend.KERNEL,
            _key(found[WGDEVICE_A_PUBLIC_KEY]) if WGDEVICE_A_PUBLIC_KEY in found else None,
            nl.u16(found[WGDEVICE_A_LISTEN_PORT]) if WGDEVICE_A_LISTEN_PORT in found else 0,
            nl.u32(found[WGDEVICE_A_FWMARK]) if WGDEVICE_A_FWMARK in found else 0,
            self._peers,
        )
        return Reading(device, self._gathering.table())

    @property
    def size(self) -> int:
        """
        How many prefixes were told.
        """
        return self._gathering.size

    @property
    def memory(self) -> Memory:
        """
        After `reading`: what the next dump of the same device may know of this one.
        """
        return self._gathering.memory

    def _peer(self, nest: memoryview) -> None:
        found = nl.attributes(nest)
        if WGPEER_A_PUBLIC_KEY not in found:
            raise RemoteProtocolError("wireguard: a peer has no public key")
        key = _key(found.pop(WGPEER_A_PUBLIC_KEY))
        allowed_ips = found.pop(WGPEER_A_ALLOWEDIPS, None)
        if found or key not in self._peers:
            self._peers[key] = _peer(key, found, self._digest)
        if allowed_ips:
            digest = self._gathering.digest(allowed_ips)
            known = self._gathering.knows(digest)
            self._gathering.add(key, digest, None if known else wireguard_entries.read(allowed_ips))


def _key(value: memoryview) -> PublicKey:
    if len(value) != LENGTH:
        raise RemoteProtocolError(f"wireguard: a key has {len(value)} bytes")
    return PublicKey(bytes(value))


def _peer(key: PublicKey, found: dict[int, memoryview], digest: Callable[[bytes], bytes]) -> Peer:
    def counter(kind: int) -> int:
        return nl.u64(found[kind]) if kind in found else 0

    psk = bytes(found.get(WGPEER_A_PRESHARED_KEY, b""))
    keepalive = WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL
    return Peer(
        key,
        _endpoint(found[WGPEER_A_ENDPOINT]) if WGPEER_A_ENDPOINT in found else "",
        _time(found[WGPEER_A_LAST_HANDSHAKE_TIME]) if WGPEER_A_LAST_HANDSHAKE_TIME in found else 0,
        counter(WGPEER_A_RX_BYTES),
        counter(WGPEER_A_TX_BYTES),
        nl.u16(found[keepalive]) if keepalive in found else 0,
        digest(psk) if any(psk) else b"",
    )


def _time(value: memoryview) -> int:
    if len(value) != _TIMESPEC.size:
        raise RemoteProtocolError(f"wireguard: a time has {len(value)} bytes")
    seconds, nanoseconds = _TIMESPEC.unpack(value)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _endpoint(value: memoryview) -> str:
    size = len(value)
    family = nl.u16(value[:2])
    if family == px.AF_INET and size == SOCKADDR_IN.size:
        _, port, address = SOCKADDR_IN.unpack(value)
        return f"{ipaddress.IPv4Address(address)}:{int.from_bytes(port, 'big')}"
    if family == px.AF_INET6 and size == SOCKADDR_IN6.size:
        _, port, address, scope = SOCKADDR_IN6.unpack(value)
        zone = f"%{scope}" if scope else ""
        return f"[{ipaddress.IPv6Address(address)}{zone}]:{int.from_bytes(port, 'big')}"
    raise RemoteProtocolError(f"wireguard: an endpoint of family {family} has {size} bytes")
