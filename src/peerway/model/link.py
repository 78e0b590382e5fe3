"""Links and addresses, as rtnetlink(7) tells them: small state, compared whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from peerway.model.prefix import Prefix

IFAPROT_KERNEL_LL: Final = 3  # the kernel made this link-local address itself (linux/if_addr.h, Linux 5.18)


@dataclass(frozen=True, slots=True)
class Link:
    """
    A network interface. `kind` is IFLA_INFO_KIND ("wireguard", "tun", "veth", ... or ""); `up` is IFF_UP.
    """

    ifindex: int
    name: str
    kind: str
    up: bool
    mtu: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """
    An address of an interface: `address` as host-length prefix, `length` of its on-link prefix, and who made it
    (IFA_PROTO: 0 unknown, 3 the kernel's own link-local, ours: the route protocol number).
    """

    ifindex: int
    address: Prefix
    length: int
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class LinkChange:
    """
    A link was added or changed, or is gone (`link` is None).
    """

    ifindex: int
    link: Link | None


@dataclass(frozen=True, slots=True)
class AddressChange:
    """
    An address was added or changed (`present`), or is gone.
    """

    address: Address
    present: bool
