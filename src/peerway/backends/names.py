"""Names of routing tables and routing protocols, as iproute2 keeps them in its files.

The kernel knows numbers only. iproute2 reads `rt_tables` and `rt_protos` below /etc/iproute2, and below /usr/share or
/usr/lib for what a distribution ships (ip-route(8)); `*.conf` files in `rt_tables.d` and `rt_protos.d` add to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

MAX_TABLE: Final = 0xFFFFFFFF
MAX_PROTOCOL: Final = 0xFF

# linux/rtnetlink.h, enum rt_class_t and RTPROT_*
TABLES: Final[Mapping[str, int]] = MappingProxyType({"default": 253, "main": 254, "local": 255})
PROTOCOLS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "unspec": 0,
        "redirect": 1,
        "kernel": 2,
        "boot": 3,
        "static": 4,
        "gated": 8,
        "ra": 9,
        "mrt": 10,
        "zebra": 11,
        "bird": 12,
        "dnrouted": 13,
        "xorp": 14,
        "ntk": 15,
        "dhcp": 16,
        "mrouted": 17,
        "keepalived": 18,
        "babel": 42,
        "ovn": 84,
        "openr": 99,
        "bgp": 186,
        "isis": 187,
        "ospf": 188,
        "rip": 189,
        "eigrp": 192,
    }
)

# The later one wins: what the administrator wrote stands over what the distribution ships.
DIRECTORIES: Final = (Path("/usr/lib/iproute2"), Path("/usr/share/iproute2"), Path("/etc/iproute2"))


@dataclass(frozen=True)
class Names:
    """
    Number and name both ways, for tables and for protocols. Without arguments it knows the builtin names only.
    """

    tables: Mapping[str, int] = field(default_factory=lambda: dict(TABLES))
    protocols: Mapping[str, int] = field(default_factory=lambda: dict(PROTOCOLS))
    protocol_numbers: Mapping[int, str] = field(default_factory=dict)  # with those whose name another number has too

    @classmethod
    def read(cls, directories: tuple[Path, ...] = DIRECTORIES) -> Names:
        """
        Read iproute2's files; a missing or unreadable file or line counts as absent, as it does for ip(8).
        """
        tables, protocols = dict(TABLES), dict(PROTOCOLS)
        numbers = {number: name for name, number in PROTOCOLS.items()}
        for directory in directories:
            for kind, names, highest in (("rt_tables", tables, MAX_TABLE), ("rt_protos", protocols, MAX_PROTOCOL)):
                for file in (directory / kind, *sorted((directory / f"{kind}.d").glob("*.conf"))):
                    for name, number in _entries(file, highest):
                        names.pop(name, None)  # so that the latest name of a number is the last of the map
                        names[name] = number
                        if kind == "rt_protos":
                            numbers[number] = name
        for number in sorted(numbers, reverse=True):  # where two numbers share a name, ip(8) takes the lowest
            protocols[numbers[number]] = number
        return cls(tables, protocols, numbers)

    def table(self, value: str | int) -> int:
        """
        The number of a table, from its name or number (1 to 2^32 - 1). Raises ValueError with a sentence.
        """
        return _number("table", "rt_tables", self.tables, value, range(1, MAX_TABLE + 1))

    def protocol(self, value: str | int) -> int:
        """
        The number of a routing protocol, from its name or number (0 to 255). Raises ValueError with a sentence.
        """
        return _number("routing protocol", "rt_protos", self.protocols, value, range(MAX_PROTOCOL + 1))

    def all_protocols(self, value: str | int) -> frozenset[int]:
        """
        Every number that a name stands for: FRR's own "static" is 196, the kernel's is 4. Raises ValueError as
        `protocol` does.
        """
        number = self.protocol(value)
        return frozenset({number} | {other for other, name in self.protocol_numbers.items() if name == value})

    def table_name(self, number: int) -> str:
        """
        What ip(8) prints for a table: its name, or the number in decimal.
        """
        return self._table_names.get(number, str(number))

    def protocol_name(self, number: int) -> str:
        """
        What ip(8) prints for a routing protocol: its name, or the number in decimal.
        """
        return self._protocol_names.get(number, str(number))

    @cached_property
    def _table_names(self) -> dict[int, str]:
        return {number: name for name, number in self.tables.items()}

    @cached_property
    def _protocol_names(self) -> dict[int, str]:
        return {number: name for name, number in self.protocols.items()} | dict(self.protocol_numbers)


def _entries(file: Path, highest: int) -> Iterator[tuple[str, int]]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) == 2 and (number := _integer(words[0])) is not None and number <= highest:
            yield words[1], number


def _integer(text: str) -> int | None:
    # Decimal or 0x, as rtnl_tab_initialize of iproute2 reads it. int(text, 0) takes more (signs, underscores, 0b).
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text)
    if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text):
        return int(text, 16)
    return None


def _number(what: str, file: str, names: Mapping[str, int], value: str | int, allowed: range) -> int:
    number = value if isinstance(value, int) else names.get(value, _integer(value))
    if number is None:
        near = get_close_matches(str(value), names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
        raise ValueError(f"no {what} has this name; {hint}; a number, or a line in /etc/iproute2/{file}, does as well")
    if number not in allowed:
        raise ValueError(f"not the number of a {what}; write one from {allowed.start} to {allowed.stop - 1}, or a name")
    return number
