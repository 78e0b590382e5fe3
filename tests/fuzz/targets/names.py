"""Names of routing tables and protocols, as iproute2's files have them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from peerway.backends.names import MAX_PROTOCOL, MAX_TABLE, Names

DIRECTORY = tempfile.TemporaryDirectory(prefix="peerway-fuzz-")


def seeds() -> list[bytes]:
    return [b"254 main\n0x57 peerway # ours\n196 static\n", b"1 a b\n-1 x\n0b1 y\n99999999999 z\n\xff\xfe 4\n"]


def one(data: bytes) -> None:
    """
    Any files are names and numbers within their limits, the builtin ones among them; a name of one is found again.
    """
    place = Path(DIRECTORY.name)
    for kind in ("rt_tables", "rt_protos"):
        (place / kind).write_bytes(data)
    names = Names.read((place,))
    assert all(0 <= number <= MAX_TABLE for number in names.tables.values())
    assert all(0 <= number <= MAX_PROTOCOL for number in names.protocols.values())
    assert names.table("main") in range(1, MAX_TABLE + 1) or data
    for name, number in names.protocols.items():
        assert names.protocol(name) == number
        assert number in names.all_protocols(name)
    for name in [*names.tables, data.decode("utf-8", "replace")]:
        try:
            number = names.table(name)
        except ValueError as error:
            assert "; " in str(error)  # noqa: PT017 - the sentence has a cure
        else:
            names.table_name(number)
