"""Units of `allowed_ip=` lines, in columns and line by line."""

from __future__ import annotations

import contextlib

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.protocols import uapi_columns, uapi_text, uapi_units
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.uapi_columns import OddError


def seeds() -> list[bytes]:
    lines = [b"10.0.0.0/8", b"::/0", b"2001:db8::/32", b"fe80::1/128", b"1:2:3:4:5:6:7:8/99", b"0.0.0.0/0", b"1::8/1"]
    return [b"".join(b"%b\n" % line for line in lines[at:]) for at in range(len(lines))] + [b"10.9.8.7/32\n" * 99]


def one(data: bytes) -> None:
    """
    Lines that the columns' reader takes are prefixes to the slow reader too, and the same; all that the slow reader
    takes and is written again is read by the columns' reader.
    """
    values = [value for value in data.split(b"\n") if value]
    if not values:
        return
    text = b"".join(b"allowed_ip=%b\n" % value for value in values)
    quick = None
    with contextlib.suppress(OddError):
        quick = uapi_columns.read(text)
    try:
        v4, v6 = uapi_units._read_lines(text)
    except RemoteProtocolError:
        assert quick is None
        return
    if quick is not None:
        assert cl.prefixes(quick[0]) == cl.prefixes(v4)
        assert cl.prefixes(quick[1]) == cl.prefixes(v6)
    for family, column in ((px.AF_INET, v4), (px.AF_INET6, v6)):
        if len(column):
            again = uapi_columns.read(uapi_text.lines(uapi_text.GIVE, column))
            assert cl.prefixes(again[family != px.AF_INET]) == cl.prefixes(column)
