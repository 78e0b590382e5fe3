"""Answers of WireGuard's cross-platform userspace protocol: lines of text, over a unix socket.

They are read as they arrive, a part at a time. Keys are in hexadecimal here; secrets are dropped where they are read.
Source: https://www.wireguard.com/xplatform/
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from nacl.bindings import crypto_scalarmult_base

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.device import Backend, Device, Peer, Reading
from peerway.model.keys import LENGTH, PublicKey
from peerway.model.prefix import Prefix
from peerway.protocols import uapi_columns
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Gathering, Memory, Unit

GET: Final = b"get=1\n\n"
DONE: Final = b"errno=0\n\n"
MAX_LINE: Final = 65536  # far above any line that has a meaning
UNIT: Final = 1 << 17  # bytes of `allowed_ip=` lines that are read at a time, in a millisecond or less
FEW: Final = 1 << 10  # bytes of lines that are read one by one as quickly

Digest = Callable[[bytes], bytes]

_IP: Final = uapi_columns.HEAD
_OTHER_LINE: Final = re.compile(rb"\n(?!allowed_ip=)")
_TAIL: Final = 64  # bytes, in which an answer's last lines stand
_OCTETS: Final = {str(number).encode(): number for number in range(256)}
_LENGTHS: Final = {str(number).encode(): number for number in range(33)}
_NO_KEY: Final = bytes(LENGTH)
_NUMBERS: Final = frozenset(
    (
        b"listen_port",
        b"fwmark",
        b"last_handshake_time_sec",
        b"last_handshake_time_nsec",
        b"rx_bytes",
        b"tx_bytes",
        b"persistent_keepalive_interval",
    )
)


class _Fields:
    """What was read of the device, or of one peer; mutable while it is read."""

    __slots__ = ("endpoint", "numbers", "psk")

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.endpoint = ""
        self.psk = b""


class Answer:
    """
    One answer, to `get=1` or to `set=1`. After `done`, `errno` is 0 or the positive error number that was told.
    """

    __slots__ = (
        "_device",
        "_digest",
        "_fields",
        "_gathering",
        "_key",
        "_peers",
        "_public_key",
        "_rest",
        "done",
        "errno",
    )

    def __init__(self, digest: Digest, memory: Memory | None = None) -> None:
        """
        `digest` turns a preshared key into what may be remembered of it (model.device.Peer.psk). `memory` is what the
        last answer of the same device left.
        """
        self._digest = digest
        self._rest = b""
        self._key: PublicKey | None = None
        self._public_key: PublicKey | None = None
        self._device = self._fields = _Fields()
        self._peers: dict[PublicKey, _Fields] = {}
        self._gathering = Gathering(memory)
        self.errno: int | None = None
        self.done = False

    def feed(self, data: bytes) -> None:
        """
        Take the next part. Raises RemoteProtocolError, which names the field and never its value.
        """
        data = self._rest + data if self._rest else data
        end = data.rfind(b"\n") + 1
        if len(data) - end > MAX_LINE:
            raise RemoteProtocolError("uapi: a line has no end")
        at = 0
        while at < end:
            if data.startswith(_IP, at):
                stop = _end_of_unit(data, at, end)
                if not stop:
                    break
                stop = self._unit(data, at, stop)
            else:
                stop = data.index(b"\n", at) + 1
                self._line(data[at : stop - 1])
            at = stop
        self._rest = data[at:]
        if self.done and self._rest:
            raise RemoteProtocolError("uapi: more than an answer came")

    def reading(self, name: str, ifindex: int) -> Reading:
        """
        What `get=1` was answered.
        """
        peers = {key: _peer(key, fields) for key, fields in self._peers.items()}
        numbers = self._device.numbers
        port, mark = numbers.get("listen_port", 0), numbers.get("fwmark", 0)
        device = Device(name, ifindex, Backend.USERSPACE, self._public_key, port, mark, peers)
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
        After `reading`: what the next answer of the same device may know of this one.
        """
        return self._gathering.memory

    def _unit(self, data: bytes, at: int, stop: int) -> int:
        """Take lines that begin with an `allowed_ip`. Returns where they end, if another line is among them."""
        if self._key is None or self.done:
            raise RemoteProtocolError("uapi: an allowed_ip belongs to no public_key")
        text = data[at:stop]
        digest = self._gathering.digest(text)
        unit: Unit | None = None
        if not self._gathering.knows(digest):
            unit = _read_columns(text)
            if unit is None:
                odd = _OTHER_LINE.search(text)
                if odd:
                    text = text[: odd.start() + 1]
                    digest = self._gathering.digest(text)
                unit = _read_lines(text)
        self._gathering.add(self._key, digest, unit)
        return at + len(text)

    def _line(self, line: bytes) -> None:
        if self.done:
            raise RemoteProtocolError("uapi: more than an answer came")
        if line:
            name, equals, value = line.partition(b"=")
            if not equals:
                raise RemoteProtocolError("uapi: a line is no key=value")
            self._field(name, value)
        elif self.errno is None:
            raise RemoteProtocolError("uapi: an answer ends without an errno")
        else:
            self.done = True

    def _field(self, name: bytes, value: bytes) -> None:
        fields = self._fields
        match name:
            case b"public_key":
                self._key = PublicKey(_key(name, value))
                self._fields = self._peers.setdefault(self._key, _Fields())
            case b"private_key":
                private = _key(name, value)
                self._public_key = PublicKey(crypto_scalarmult_base(private)) if private != _NO_KEY else None
            case b"preshared_key":
                psk = _key(name, value)
                fields.psk = self._digest(psk) if psk != _NO_KEY else b""
            case b"endpoint":
                fields.endpoint = _text(name, value)
            case b"errno":
                self.errno = _number(name, value.removeprefix(b"-"))
            case _ if name in _NUMBERS:
                fields.numbers[name.decode()] = _number(name, value)
            case _:  # protocol_version, and what newer ones add
                pass


def _peer(key: PublicKey, fields: _Fields) -> Peer:
    numbers = fields.numbers
    handshake = numbers.get("last_handshake_time_sec", 0) * 1_000_000_000 + numbers.get("last_handshake_time_nsec", 0)
    return Peer(
        key,
        fields.endpoint,
        handshake,
        numbers.get("rx_bytes", 0),
        numbers.get("tx_bytes", 0),
        numbers.get("persistent_keepalive_interval", 0),
        fields.psk,
    )


def _key(name: bytes, value: bytes) -> bytes:
    try:
        raw = bytes.fromhex(value.decode("ascii")) if len(value) == 2 * LENGTH else b""
    except ValueError:
        raw = b""
    if len(raw) != LENGTH:
        raise RemoteProtocolError(f"uapi: {name.decode()} is not {LENGTH} bytes in hexadecimal")
    return raw


def _number(name: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise RemoteProtocolError(f"uapi: {name.decode()} is no number")
    return int(value)


def _text(name: bytes, value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"uapi: {name.decode()} is not ASCII") from None


def _end_of_unit(data: bytes, at: int, end: int) -> int:
    """
    Where the unit of `allowed_ip` lines that begins at `at` ends, 0 if that did not come yet. The same lines are cut
    into the same units, wherever the stream was cut.
    """
    window = min(at + UNIT, end)
    stop = data.find(b"\npublic_key=", at, window)
    if stop < 0 and end - at < UNIT:
        last = max(at, end - _TAIL)
        stop = data.find(b"\nerrno=", last, window)
        if stop < 0:
            stop = data.find(b"\n\n", last, window)
        if stop < 0:
            return 0
    elif stop < 0:
        return data.rfind(b"\n", at, window) + 1 or data.index(b"\n", at) + 1
    while not data.startswith(_IP, line := data.rfind(b"\n", at, stop) + 1 or at):
        stop = line - 1
    return stop + 1


def _read_columns(text: bytes) -> Unit | None:
    try:
        return uapi_columns.read(text) if len(text) > FEW else None
    except uapi_columns.OddError:
        return None


def _read_lines(text: bytes) -> Unit:
    """The slow reader, which knows each way to write a prefix."""
    v4: list[Prefix] = []
    v6: list[Prefix] = []
    octets, lengths = _OCTETS, _LENGTHS
    for line in text.split(b"\n")[:-1]:
        value = line[len(_IP) :]
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
