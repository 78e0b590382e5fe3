"""IP prefixes as plain integers.

A full Internet table holds 1.2 million prefixes, so a prefix is no object but one int:
`address << 8 | length`, with bit 136 set for IPv6. It hashes and compares at the speed of an int, and sorting gives
IPv4 before IPv6, by address, shorter before longer. An address is its host-length prefix (/32 or /128).
"""

from __future__ import annotations

import ipaddress
from typing import NewType

Prefix = NewType("Prefix", int)

AF_INET = 2
AF_INET6 = 10
V6 = 1 << 136
DEFAULT_V4 = Prefix(0)
DEFAULT_V6 = Prefix(V6)


def make(family: int, address: bytes, length: int) -> Prefix:
    """
    The prefix of network-order address bytes (4 or 16; fewer are padded) and a length in bits; host bits are cleared.
    """
    if family == AF_INET:
        number = int.from_bytes(address.ljust(4, b"\0"), "big")
        return Prefix((number >> (32 - length) << (32 - length)) << 8 | length)
    number = int.from_bytes(address.ljust(16, b"\0"), "big")
    return Prefix(V6 | (number >> (128 - length) << (128 - length)) << 8 | length)


def host(family: int, address: bytes) -> Prefix:
    """
    The host-length prefix that stands for one address.
    """
    if family == AF_INET:
        return Prefix(int.from_bytes(address, "big") << 8 | 32)
    return Prefix(V6 | int.from_bytes(address, "big") << 8 | 128)


def family(prefix: Prefix) -> int:
    """
    AF_INET or AF_INET6.
    """
    return AF_INET6 if prefix & V6 else AF_INET


def bits(prefix: Prefix) -> int:
    """
    The address length of the family: 32 or 128.
    """
    return 128 if prefix & V6 else 32


def length(prefix: Prefix) -> int:
    """
    The prefix length in bits.
    """
    return prefix & 0xFF


def number(prefix: Prefix) -> int:
    """
    The network address as a number, without family and length.
    """
    return (prefix & ~V6) >> 8


def packed(prefix: Prefix) -> bytes:
    """
    The network address as network-order bytes, 4 or 16.
    """
    return number(prefix).to_bytes(16 if prefix & V6 else 4, "big")


def is_host(prefix: Prefix) -> bool:
    """
    Whether the prefix stands for one address.
    """
    return (prefix & 0xFF) == (128 if prefix & V6 else 32)


def is_default(prefix: Prefix) -> bool:
    """
    Whether the prefix is 0.0.0.0/0 or ::/0.
    """
    return prefix in (DEFAULT_V4, DEFAULT_V6)


def is_plain(prefix: Prefix) -> bool:
    """
    Whether no rule treats the prefix apart: it is no address, no default route, and not link-local.
    """
    if prefix & V6:
        return (prefix & 0xFF) not in (0, 128) and (prefix >> 126) & 0x3FF != 0x3FA
    return (prefix & 0xFF) not in (0, 32)


def is_link_local(prefix: Prefix) -> bool:
    """
    Whether the prefix lies in fe80::/10 (RFC 4291 section 2.5.6).
    """
    return bool(prefix & V6) and length(prefix) >= 10 and number(prefix) >> 118 == 0x3FA


def contains(outer: Prefix, inner: Prefix) -> bool:
    """
    Whether each address of `inner` is in `outer`; a prefix contains itself.
    """
    if (outer ^ inner) & V6 or length(outer) > length(inner):
        return False
    shift = bits(outer) - length(outer)
    return number(outer) >> shift == number(inner) >> shift


def supernet(prefix: Prefix, new_length: int) -> Prefix:
    """
    The prefix of `new_length` bits that contains `prefix`.
    """
    shift = bits(prefix) - new_length
    return Prefix((prefix & V6) | (number(prefix) >> shift << shift) << 8 | new_length)


def text(prefix: Prefix) -> str:
    """
    `10.0.0.0/8`, as `ip route` and `wg show` write it, always with its length.
    """
    return f"{address_text(prefix)}/{length(prefix)}"


def address_text(prefix: Prefix) -> str:
    """
    The network address alone: `10.0.0.0`, `fe80::1`.
    """
    if prefix & V6:
        return str(ipaddress.IPv6Address(number(prefix)))
    value = number(prefix)
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def parse(value: str, *, strict: bool = False) -> Prefix:
    """
    Read `10.0.0.0/8`, `10.0.0.1` or `default` (IPv4) as ip(8) does; host bits are cleared unless `strict`.

    Raises ValueError with a sentence.
    """
    if value == "default":
        return DEFAULT_V4
    try:
        net = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 or IPv6 prefix such as 10.0.0.0/8") from None
    if strict and "/" in value and ipaddress.ip_interface(value).ip != net.network_address:
        raise ValueError(f"{value!r} has host bits set; write {net}")
    return make(AF_INET if net.version == 4 else AF_INET6, net.network_address.packed, net.prefixlen)


def parse_address(value: str) -> Prefix:
    """
    Read one address, without length, as its host-length prefix. Raises ValueError with a sentence.
    """
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 or IPv6 address") from None
    return host(AF_INET if address.version == 4 else AF_INET6, address.packed)
