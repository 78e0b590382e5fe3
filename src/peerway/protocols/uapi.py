"""Answers of WireGuard's cross-platform userspace protocol: lines of text, over a unix socket.

They are read as they arrive, a part at a time. Keys are in hexadecimal here; secrets are dropped where they are read.
Source: https://www.wireguard.com/xplatform/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nacl.bindings import crypto_scalarmult_base

from peerway.model.device import Backend, Device, Peer, Reading
from peerway.model.keys import LENGTH, PublicKey
from peerway.protocols import uapi_units
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Gathering, Memory, Unit

GET: Final = b"get=1\n\n"
DONE: Final = b"errno=0\n\n"
MAX_LINE: Final = 65536  # far above any line that has a meaning

Digest = Callable[[bytes], bytes]

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
            if data.startswith(uapi_units.HEAD, at):
                stop = uapi_units.end(data, at, end)
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
            unit, size = uapi_units.read(text)
            if size < len(text):
                text = text[:size]
                digest = self._gathering.digest(text)
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
