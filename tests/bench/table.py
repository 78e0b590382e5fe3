"""A routing table like the Internet's: generated, the same for the same seed, in the records of the C floors.

Prefix lengths follow the IPv4 table of 2022 (60.6 % /24, 10.7 % /23, 11.7 % /22). A run of neighbours has one origin,
an origin has one peer, peers have Zipf's shares (the first of eight has 40 %), and 3 % of the prefixes go anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from peerway.model.prefix import AF_INET, AF_INET6

FLAT: Final = np.dtype([("address", "u1", 16), ("length", "u1"), ("family", "u1"), ("peer", "=u2")])
"""struct flat of c/bench.h: a prefix and the number of its peer."""
Flat = npt.NDArray[Any]

ORIGINS: Final = 73_719
RUN: Final = 14  # prefixes of one origin in a row, on average
STRAY: Final = 0.03
ZIPF: Final = 1.1
V6_SHARE: Final = 0.22  # IPv6 prefixes for each IPv4 one
_V4: Final = {24: 0.606, 23: 0.107, 22: 0.117} | {21 - i: 0.17 * 0.4 * 0.6**i for i in range(14)}
_V6: Final = {48: 0.48, 32: 0.13, 44: 0.1, 40: 0.09, 36: 0.06, 46: 0.04, 47: 0.03, 29: 0.035, 33: 0.02, 45: 0.015}


def generate(v4: int, v6: int, peers: int, seed: int = 1) -> Flat:
    """
    That many different prefixes of each family over that many peers, in random order.
    """
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, peers + 1) ** ZIPF
    peer_of = rng.choice(peers, ORIGINS, p=shares / shares.sum())
    parts = [_family(family, count, peer_of, peers, rng) for family, count in ((AF_INET, v4), (AF_INET6, v6))]
    flat = np.concatenate(parts)
    return flat[rng.permutation(len(flat))]


def _family(family: int, count: int, peer_of: npt.NDArray[np.int64], peers: int, rng: np.random.Generator) -> Flat:
    networks, lengths = _prefixes(family, count, rng)
    flat = np.zeros(count, FLAT)
    size = 4 if family == AF_INET else 8  # what is below 64 bits is zero
    flat["address"][:, :size] = networks.astype(f">u{size}").view("u1").reshape(count, size)
    flat["length"], flat["family"] = lengths, family
    run = np.cumsum(rng.random(count) < 1 / RUN)
    origin = rng.integers(0, ORIGINS, count)[run - run[0]] if count else run
    flat["peer"] = np.where(rng.random(count) < STRAY, rng.integers(0, peers, count), peer_of[origin])
    return flat


def _prefixes(
    family: int, count: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Networks, as numbers of 32 or 64 bits, and lengths, in the order of addresses."""
    shares, bits = (_V4, 32) if family == AF_INET else (_V6, 64)
    counts = {length: int(count * share) for length, share in shares.items()}
    longest = max(counts, key=counts.__getitem__)
    counts[longest] += count - sum(counts.values())
    networks, lengths = [], []
    for length, number in counts.items():
        networks.append(_networks(family, length, number, rng) << np.uint64(bits - length))
        lengths.append(np.full(number, length))
    joined, long = np.concatenate(networks), np.concatenate(lengths)
    order = np.lexsort((long, joined))
    return joined[order], long[order]


def _networks(family: int, length: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.uint64]:
    """Different numbers of networks inside 1.0.0.0 to 223.255.255.255, without 127.0.0.0/8, or inside 2000::/3."""
    low, high = (1 << length - 8, 224 << length - 8) if family == AF_INET else (1 << length - 3, 2 << length - 3)
    found = np.zeros(0, np.uint64)
    while len(found) < count:
        more = rng.integers(low, high, 2 * count, dtype=np.uint64)
        if family == AF_INET:
            more = more[more >> np.uint64(length - 8) != 127]
        found = np.unique(np.concatenate([found, more]))
    return rng.permutation(found)[:count]


def names(flat: Flat) -> npt.NDArray[np.void]:
    """A column that is equal for equal prefixes, whoever their peer is, and sorts."""
    columns = np.empty(len(flat), [("high", ">u8"), ("low", ">u8"), ("rest", "=u2")])
    address = np.ascontiguousarray(flat["address"])
    columns["high"], columns["low"] = address.view(">u8").T if len(flat) else (0, 0)
    columns["rest"] = flat["family"].astype("u2") << 8 | flat["length"]
    return columns


def in_order(flat: Flat) -> Flat:
    """By prefix, then peer."""
    name = names(flat)
    return flat[np.lexsort((flat["peer"], name["rest"], name["low"], name["high"]))]


def text(record: npt.NDArray[np.void]) -> str:
    """One record for people: its prefix, as `wg show` writes it."""
    import ipaddress  # noqa: PLC0415 - only where something is wrong

    size = 4 if record["family"] == AF_INET else 16
    return f"{ipaddress.ip_address(record['address'].tobytes()[:size])}/{record['length']}"


def save(flat: Flat, path: Path) -> Path:
    """Write a flat file."""
    path.write_bytes(flat.tobytes())
    return path


def read(path: Path) -> Flat:
    """Read a flat file."""
    return np.frombuffer(path.read_bytes(), FLAT)
