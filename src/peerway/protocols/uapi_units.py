"""Units of `allowed_ip=` lines: where one ends in an answer, and what it says.

Most are read in columns (uapi_columns); a few lines, and what is written in another way, one by one.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.protocols import uapi_columns
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Unit

HEAD: Final = uapi_columns.HEAD
UNIT: Final = 1 << 17  # bytes of a unit at most, which are read in a millisecond or less
FEW: Final = 1 << 10  # bytes of lines that are read one by one as quickly

_OTHER_LINE: Final = re.compile(rb"\n(?!allowed_ip=)")
_TAIL: Final = 64  # bytes, in which an answer's last lines stand
_OCTETS: Final = {str(number).encode(): number for number in range(256)}
_LENGTHS: Final = {str(number).encode(): number for number in range(33)}


def end(data: bytes, at: int, stop: int) -> int:
    """
    Where the unit that begins at `at` ends, 0 if that did not come yet; whole lines came until `stop`. The same lines
    are cut into the same units, wherever the stream was cut.
    """
    window = min(at + UNIT, stop)
    found = data.find(b"\npublic_key=", at, window)
    if found < 0 and stop - at < UNIT:
        last = max(at, stop - _TAIL)
        found = data.find(b"\nerrno=", last, window)
        if found < 0:
            found = data.find(b"\n\n", last, window)
        if found < 0:
            return 0
    elif found < 0:
        return data.rfind(b"\n", at, window) + 1 or data.index(b"\n", at) + 1
    while not data.startswith(HEAD, line := data.rfind(b"\n", at, found) + 1 or at):
        found = line - 1
    return found + 1


def read(text: bytes) -> tuple[Unit, int]:
    """
    What a unit says, and how many bytes of it: it ends where a line of another kind begins. Raises
    RemoteProtocolError.
    """
    if len(text) > FEW:
        try:
            return uapi_columns.read(text), len(text)
        except uapi_columns.OddError:
            pass
    other = _OTHER_LINE.search(text)
    size = other.start() + 1 if other else len(text)
    return _read_lines(text[:size]), size


def _read_lines(text: bytes) -> Unit:
    """The slow reader, which knows each way to write a prefix."""
    v4: list[Prefix] = []
    v6: list[Prefix] = []
    octets, lengths = _OCTETS, _LENGTHS
    for line in text.split(b"\n")[:-1]:
        value = line[len(HEAD) :]
        address, _, length = value.partition(b"/")
        try:
            a, b, c, d = address.split(b".")
            spare = 32 - lengths[length]
            number = octets[a] << 24 | octets[b] << 16 | octets[c] << 8 | octets[d]
        except (KeyError, ValueError):
            prefix = _prefix(value)
            (v6 if prefix & px.V6 else v4).append(prefix)
        else:
            v4.append(Prefix((number >> spare << spare) << 8 | 32 - spare))
    return cl.make(px.AF_INET, v4), cl.make(px.AF_INET6, v6)


def _prefix(value: bytes) -> Prefix:
    address, slash, length = value.partition(b"/")
    try:
        parsed = ipaddress.ip_address(address.decode("ascii"))
        bits = int(length) if slash and length.isdigit() and len(length) <= 3 else -1
        if not 0 <= bits <= parsed.max_prefixlen:
            raise ValueError  # noqa: TRY301 - one sentence for all that can be wrong
    except ValueError:
        raise RemoteProtocolError("uapi: an allowed_ip is no prefix") from None
    return px.make(px.AF_INET if parsed.version == 4 else px.AF_INET6, parsed.packed, bits)
