"""What is asked of a WireGuard device besides AllowedIPs deltas: keys, port, mark, peers. None = leave alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from peerway.model.keys import LENGTH, PublicKey, Secret
from peerway.model.prefix import Prefix

NO_KEY: Final = Secret(bytes(LENGTH))  # setting this key takes the present one away, in both of WireGuard's interfaces


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """
    What one peer shall be; a peer that does not exist is created, unless `update_only`.

    `endpoint` is `192.0.2.1:51820` or `[fe80::1%3]:51820`; `keepalive` is in seconds, 0 = off; `psk` NO_KEY takes
    the preshared key away. `allowed_ips` are added, and are all that stays if `replace_allowed_ips`: that one leaves
    a live peer without prefixes for a while, so it is meant for new peers. `remove` takes the peer away.
    """

    public_key: PublicKey
    remove: bool = False
    update_only: bool = False
    psk: Secret | None = None
    endpoint: str | None = None
    keepalive: int | None = None
    allowed_ips: tuple[Prefix, ...] = ()
    replace_allowed_ips: bool = False


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """
    What a device shall be. `private_key` NO_KEY takes the key away; `fwmark` 0 = none; `replace_peers` removes all
    peers that are not named here.
    """

    private_key: Secret | None = None
    listen_port: int | None = None
    fwmark: int | None = None
    peers: tuple[PeerConfig, ...] = ()
    replace_peers: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    Where a peer is: an address (with its zone, if link-local: a number or an interface name) and a UDP port.
    """

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    @classmethod
    def parse(cls, value: str) -> Endpoint:
        """
        Read `192.0.2.1:51820` or `[2001:db8::1]:51820`. Raises ValueError with a sentence.
        """
        host, _, port = value.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        try:
            address = ipaddress.ip_address(host[1:-1] if bracketed else host)
            proper = value.isascii() and value.isprintable() and " " not in value  # a zone could hold anything
            if not proper or bracketed != (address.version == 6) or not 0 < int(port) < 65536 or not port.isdecimal():
                raise ValueError  # noqa: TRY301 - one sentence for all that can be wrong
        except ValueError:
            raise ValueError(f"{value!r} is not an endpoint such as 192.0.2.1:51820 or [2001:db8::1]:51820") from None
        return cls(address, int(port))
