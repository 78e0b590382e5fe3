"""WireGuard's cross-platform userspace protocol: `get=1` and `set=1` in lines of text, over a unix socket.

Reads answers as they arrive, a part at a time, and writes requests. Keys are in hexadecimal here; secrets are dropped
where they are read. Source: https://www.wireguard.com/xplatform/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from nacl.bindings import crypto_scalarmult_base

from peerway.model import prefix as px
from peerway.model.device import AllowedIPs, Backend, Device, Peer, Reading
from peerway.model.keys import LENGTH, PublicKey, Secret
from peerway.model.prefix import Prefix
from peerway.model.setup import DeviceConfig, Endpoint, PeerConfig
from peerway.protocols.errors import RemoteProtocolError

GET: Final = b"get=1\n\n"
MAX_LINE: Final = 65536  # far above any line that has a meaning

Digest = Callable[[bytes], bytes]
Pairs = Iterable[tuple[Prefix, PublicKey]]

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
        "_allowed_ips",
        "_device",
        "_digest",
        "_fields",
        "_key",
        "_peers",
        "_public_key",
        "_rest",
        "done",
        "errno",
    )

    def __init__(self, digest: Digest) -> None:
        """
        `digest` turns a preshared key into what may be remembered of it (model.device.Peer.psk).
        """
        self._digest = digest
        self._rest = b""
        self._key: PublicKey | None = None
        self._public_key: PublicKey | None = None
        self._device = self._fields = _Fields()
        self._peers: dict[PublicKey, _Fields] = {}
        self._allowed_ips: AllowedIPs = {}
        self.errno: int | None = None
        self.done = False

    def feed(self, data: bytes) -> None:
        """
        Take the next part. Raises RemoteProtocolError, which names the field and never its value.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise RemoteProtocolError("uapi: a line has no end")
        allowed_ips, octets, lengths = self._allowed_ips, _OCTETS, _LENGTHS
        for line in lines:
            if line[:11] != b"allowed_ip=":
                self._line(line)
                continue
            # The hot line: a table may have a million. Look-ups are both the fastest reader and a strict one.
            address, _, length = line[11:].partition(b"/")
            try:
                a, b, c, d = address.split(b".")
                spare = 32 - lengths[length]
                number = octets[a] << 24 | octets[b] << 16 | octets[c] << 8 | octets[d]
            except (KeyError, ValueError):
                prefix = _prefix(line[11:])
            else:
                prefix = Prefix((number >> spare << spare) << 8 | 32 - spare)
            if self._key is None or self.done:
                raise RemoteProtocolError("uapi: an allowed_ip belongs to no public_key")
            allowed_ips[prefix] = self._key
        if self.done and self._rest:
            raise RemoteProtocolError("uapi: more than an answer came")

    def reading(self, name: str, ifindex: int) -> Reading:
        """
        What `get=1` was answered. The map of AllowedIPs is handed over, not copied.
        """
        peers = {key: _peer(key, fields) for key, fields in self._peers.items()}
        numbers = self._device.numbers
        port, mark = numbers.get("listen_port", 0), numbers.get("fwmark", 0)
        device = Device(name, ifindex, Backend.USERSPACE, self._public_key, port, mark, peers)
        return Reading(device, self._allowed_ips)

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


def give(pairs: Pairs) -> bytes:
    """
    A set request that gives prefixes to peers; pairs of one peer shall stand together. No peer is created.
    """
    return _request(_blocks(pairs, "update_only=true\n", "allowed_ip="))


def take(pairs: Pairs) -> bytes:
    """
    A set request that takes each prefix from the peer that is named, and from no other. Not known to wireguard-go
    before May 2025, which answers with an errno.
    """
    return _request(_blocks(pairs, "update_only=true\n", "allowed_ip=-"))


def discard(prefixes: Iterable[Prefix], throwaway: PublicKey) -> bytes:
    """
    A set request that takes prefixes from WHOEVER holds them: a new peer gets them, and goes with them.
    """
    key = throwaway.hex()
    given = (f"allowed_ip={px.text(prefix)}\n" for prefix in prefixes)
    return _request((f"public_key={key}\n", *given, f"public_key={key}\nremove=true\n"))


def remove_peer(key: PublicKey) -> bytes:
    """
    A set request that removes a peer; none is fine.
    """
    return _request((f"public_key={key.hex()}\nremove=true\n",))


def configure(config: DeviceConfig) -> bytes:
    """
    A set request that asks for all of a configuration. Raises ValueError with a sentence for a bad endpoint.
    """
    lines: list[str] = []
    if config.private_key is not None:
        lines.append(f"private_key={_hex(config.private_key)}\n")
    if config.listen_port is not None:
        lines.append(f"listen_port={config.listen_port}\n")
    if config.fwmark is not None:
        lines.append(f"fwmark={config.fwmark}\n")
    if config.replace_peers:
        lines.append("replace_peers=true\n")
    for peer in config.peers:
        lines += _configure_peer(peer)
    return _request(lines)


def _configure_peer(peer: PeerConfig) -> Iterator[str]:
    yield f"public_key={peer.public_key.hex()}\n"
    if peer.remove:
        yield "remove=true\n"
        return
    if peer.update_only:
        yield "update_only=true\n"
    if peer.psk is not None:
        yield f"preshared_key={_hex(peer.psk)}\n"
    if peer.endpoint is not None:
        Endpoint.parse(peer.endpoint)
        yield f"endpoint={peer.endpoint}\n"
    if peer.keepalive is not None:
        yield f"persistent_keepalive_interval={peer.keepalive}\n"
    if peer.replace_allowed_ips:
        yield "replace_allowed_ips=true\n"
    for prefix in peer.allowed_ips:
        yield f"allowed_ip={px.text(prefix)}\n"


def _hex(secret: Secret) -> str:
    return secret.reveal().hex()


def _blocks(pairs: Pairs, flags: str, verb: str) -> Iterator[str]:
    for key, group in groupby(pairs, itemgetter(1)):
        yield f"public_key={key.hex()}\n{flags}"
        for prefix, _ in group:
            if prefix < px.V6:  # written out, for there may be a million
                n = prefix >> 8
                yield f"{verb}{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/{prefix & 255}\n"
            else:
                yield f"{verb}{px.text(prefix)}\n"


def _request(lines: Iterable[str]) -> bytes:
    return "".join(("set=1\n", *lines, "\n")).encode()
