"""The userspace protocol: answers are read in any pieces, requests say what is meant, and secrets are dropped."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_base

from peerway.model import prefix as px
from peerway.model.device import AllowedIPs, Peer, Reading
from peerway.model.keys import PublicKey, Secret
from peerway.model.setup import NO_KEY, DeviceConfig, PeerConfig
from peerway.protocols import uapi
from peerway.protocols.errors import RemoteProtocolError
from tests.harness.wg_strategies import ALLOWED_IPS, KEYS, SECRETS

A, B = (PublicKey(bytes([number]) * 32) for number in (1, 2))
PRIVATE = bytes(range(32))


def digest(psk: bytes) -> bytes:
    return b"digest of " + psk[:1]


def text_of(private: bytes, psk: bytes, allowed_ips: AllowedIPs, errno: str = "0") -> bytes:
    """An answer as wireguard-go writes it."""
    lines = [f"private_key={private.hex()}", "listen_port=51820", "fwmark=7"]
    for key in sorted(set(allowed_ips.values())):
        lines += [f"public_key={key.hex()}", f"preshared_key={psk.hex()}", "protocol_version=1"]
        lines += ["endpoint=[2001:db8::1]:4000", "last_handshake_time_sec=2", "last_handshake_time_nsec=3"]
        lines += ["tx_bytes=5", "rx_bytes=4", "persistent_keepalive_interval=25"]
        lines += [f"allowed_ip={px.text(prefix)}" for prefix, owner in allowed_ips.items() if owner == key]
    return "\n".join([*lines, f"errno={errno}", "", ""]).encode()


def read(data: bytes, pieces: list[int] | None = None) -> uapi.Answer:
    answer = uapi.Answer(digest)
    at = 0
    for size in pieces or []:
        answer.feed(data[at : at + size])
        at += size
    if data[at:]:
        answer.feed(data[at:])
    return answer


def reading(data: bytes) -> Reading:
    return read(data).reading("wg0", 3)


@given(ALLOWED_IPS, st.binary(min_size=32, max_size=32), SECRETS, st.lists(st.integers(1, 50)))
def test_an_answer_is_read_in_any_pieces(ips: AllowedIPs, private: bytes, psk: Secret, pieces: list[int]) -> None:
    """However the stream is cut, the same device comes out."""
    answer = read(text_of(private, psk.reveal(), ips), pieces)
    assert answer.done
    assert answer.errno == 0
    told = answer.reading("wg0", 3)
    assert told.allowed_ips == ips
    device = told.device
    assert (device.name, device.ifindex, device.listen_port, device.fwmark) == ("wg0", 3, 51820, 7)
    assert device.public_key == (PublicKey(crypto_scalarmult_base(private)) if any(private) else None)
    remembered = digest(psk.reveal()) if any(psk.reveal()) else b""
    for key, peer in device.peers.items():
        assert peer == Peer(key, "[2001:db8::1]:4000", 2_000_000_003, 4, 5, 25, remembered)
    assert device.peers.keys() == set(ips.values())


@given(
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                b"public_key=",
                b"allowed_ip=",
                b"errno=",
                b"fwmark=",
                b"private_key=",
                b"\n",
                b"0",
                b"/",
                b"::1",
                b"1.2.3.4/33",
            ]
        )
        | st.just(b"public_key=" + b"01" * 32 + b"\n")
    ).map(b"".join)
)
def test_any_text_is_read_or_refused(data: bytes) -> None:
    """Whatever comes, the reader returns or raises RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        read(data).reading("wg0", 3)


@pytest.mark.parametrize(
    "line",
    [
        "1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3/8", "1.2.3.256/8", "01.2.3.4/8", "1.2.3.4/-1", "1.2.3.4/ 8",
        "::/129", ":::/1", "fe80::1%eth0", "", "/", "1.2.3.4/8/8",
    ],
)  # fmt: skip
def test_what_is_no_prefix_is_refused(line: str) -> None:
    """A prefix that cannot be is an error, not some other prefix."""
    with pytest.raises(RemoteProtocolError, match="allowed_ip"):
        read(f"public_key={A.hex()}\nallowed_ip={line}\n".encode())


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_every_way_to_write_an_address_is_read(address: ipaddress.IPv6Address, length: int) -> None:
    """Compressed, exploded and with an embedded IPv4 address, it is the same prefix."""
    value = int(address)
    dotted = f"{address.exploded.rsplit(':', 2)[0]}:{ipaddress.IPv4Address(value & 0xFFFFFFFF)}"
    wanted = px.make(px.AF_INET6, address.packed, length)
    for text in (address.compressed, address.exploded, dotted):
        told = reading(f"public_key={A.hex()}\nallowed_ip={text}/{length}\nerrno=0\n\n".encode())
        assert list(told.allowed_ips) == [wanted]


@pytest.mark.parametrize("name", ["private_key", "preshared_key"])
@pytest.mark.parametrize("value", ["5ec2e7", "5ec2e7" * 12, "zz" * 32, "5ec2e7 " * 9 + "5"])
def test_errors_do_not_repeat_secrets(name: str, value: str) -> None:
    """A key that cannot be read is named, not shown."""
    with pytest.raises(RemoteProtocolError, match=name) as told:
        read(f"public_key={A.hex()}\n{name}={value}\n".encode())
    assert "5ec2" not in str(told.value)


def test_nothing_secret_stays() -> None:
    """Neither private nor preshared key can be found in what was read."""
    answer = read(text_of(PRIVATE, b"\x5e" * 32, {px.parse("10.0.0.0/8"): A}))
    kept = repr([getattr(answer, name) for name in uapi.Answer.__slots__ if name != "_digest"])
    kept += repr([vars_of(fields) for fields in answer._peers.values()])
    for secret in (PRIVATE, b"\x5e" * 32):
        assert repr(secret)[2:-1] not in kept
        assert secret.hex() not in kept


def vars_of(fields: uapi._Fields) -> list[object]:
    return [getattr(fields, name) for name in fields.__slots__]


def test_host_bits_are_cleared() -> None:
    """The map holds networks, whatever was told."""
    told = reading(f"public_key={A.hex()}\nallowed_ip=10.1.2.3/8\nallowed_ip=2001:db8::1/32\nerrno=0\n\n".encode())
    assert set(told.allowed_ips) == {px.parse("10.0.0.0/8"), px.parse("2001:db8::/32")}


@pytest.mark.parametrize(("told", "errno"), [("0", 0), ("-22", 22), ("13", 13)])
def test_errno_is_read_with_either_sign(told: str, errno: int) -> None:
    """wireguard-go tells errors as negative numbers, others as positive ones."""
    answer = read(f"errno={told}\n\n".encode())
    assert answer.done
    assert answer.errno == errno


def test_answer_ends_at_its_empty_line() -> None:
    """Before it the answer is not done; without an errno, and after the end, something is wrong."""
    assert not read(b"errno=0\n").done
    for wrong in (b"\n", b"fwmark=1\n\n", b"errno=0\n\nerrno=0\n\n", b"errno=0\n\nx"):
        with pytest.raises(RemoteProtocolError):
            read(wrong)


def test_endless_line_is_refused() -> None:
    """A line that never ends is not kept forever."""
    with pytest.raises(RemoteProtocolError):
        read(b"x" * (uapi.MAX_LINE + 1))


class Daemon:
    """A naive userspace WireGuard: does what a set request says, line by line."""

    def __init__(self, peers: set[PublicKey], allowed_ips: AllowedIPs) -> None:
        self.peers, self.allowed_ips = set(peers), dict(allowed_ips)

    def hear(self, request: bytes) -> None:
        assert request.startswith(b"set=1\n")
        assert request.endswith(b"\n\n")
        key, dummy = PublicKey(bytes(32)), True
        for line in request.decode().splitlines()[1:-1]:
            name, _, value = line.partition("=")
            match name:
                case "public_key":
                    key, dummy = PublicKey(bytes.fromhex(value)), False
                    created = key not in self.peers
                    self.peers.add(key)
                case "update_only":
                    if created:
                        self.peers.discard(key)
                        dummy = True
                case "remove":
                    self.peers.discard(key)
                    self.allowed_ips = {p: k for p, k in self.allowed_ips.items() if k != key}
                case "allowed_ip" if value.startswith("-"):
                    if self.allowed_ips.get(px.parse(value[1:], strict=True)) == key:
                        del self.allowed_ips[px.parse(value[1:])]
                case "allowed_ip" if not dummy:
                    self.allowed_ips[px.parse(value, strict=True)] = key
                case "allowed_ip":
                    pass
                case _:
                    raise AssertionError(line)


@given(ALLOWED_IPS, ALLOWED_IPS, st.sets(KEYS, max_size=2))
def test_giving_gives_and_creates_nobody(before: AllowedIPs, wanted: AllowedIPs, more: set[PublicKey]) -> None:
    """Each prefix is at its peer afterwards; peers that are not there stay away."""
    daemon = Daemon({*before.values(), *more}, before)
    peers = set(daemon.peers)
    daemon.hear(uapi.give(sorted(wanted.items(), key=lambda pair: pair[1])))
    assert daemon.allowed_ips == before | {prefix: key for prefix, key in wanted.items() if key in peers}
    assert daemon.peers == peers


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_taking_takes_from_the_named_peer_only(before: AllowedIPs, named: AllowedIPs) -> None:
    """What another peer holds stays."""
    daemon = Daemon(set(before.values()), before)
    daemon.hear(uapi.take(sorted(named.items(), key=lambda pair: pair[1])))
    assert daemon.allowed_ips == {prefix: key for prefix, key in before.items() if named.get(prefix) != key}
    assert daemon.peers == set(before.values())


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_discarding_takes_from_whoever_holds_it(before: AllowedIPs, some: AllowedIPs) -> None:
    """The prefixes are gone, the throwaway peer too, all else stays."""
    throwaway = PublicKey(bytes([99]) * 32)
    daemon = Daemon(set(before.values()), before)
    daemon.hear(uapi.discard(some, throwaway))
    assert daemon.allowed_ips == {prefix: key for prefix, key in before.items() if prefix not in some}
    assert daemon.peers == set(before.values())


def test_a_peer_is_removed() -> None:
    """Removing a peer takes its prefixes along, and no other's."""
    one, two = px.parse("10.1.0.0/16"), px.parse("10.2.0.0/16")
    daemon = Daemon({A, B}, {one: A, two: B})
    daemon.hear(uapi.remove_peer(A))
    assert (daemon.peers, daemon.allowed_ips) == ({B}, {two: B})


def test_configuration_says_only_what_is_asked() -> None:
    """None leaves alone, zero is said."""
    assert uapi.configure(DeviceConfig()) == b"set=1\n\n"
    peer = PeerConfig(A, keepalive=0, update_only=True)
    expected = f"set=1\nfwmark=0\npublic_key={A.hex()}\nupdate_only=true\npersistent_keepalive_interval=0\n\n"
    assert uapi.configure(DeviceConfig(fwmark=0, peers=(peer,))) == expected.encode()


def test_whole_configuration_is_said() -> None:
    """Every setting has its line, in an order that the protocol allows."""
    peers = (
        PeerConfig(
            A, psk=NO_KEY, endpoint="[::1]:9", keepalive=5, allowed_ips=(px.parse("::/0"),), replace_allowed_ips=True
        ),
        PeerConfig(B, remove=True),
    )
    config = DeviceConfig(Secret(PRIVATE), 51820, 3, peers, replace_peers=True)
    assert uapi.configure(config).decode().splitlines() == [
        "set=1", f"private_key={PRIVATE.hex()}", "listen_port=51820", "fwmark=3", "replace_peers=true",
        f"public_key={A.hex()}", f"preshared_key={'00' * 32}", "endpoint=[::1]:9", "persistent_keepalive_interval=5",
        "replace_allowed_ips=true", "allowed_ip=::/0", f"public_key={B.hex()}", "remove=true", "",
    ]  # fmt: skip


def test_bad_endpoint_is_refused() -> None:
    """A line break in an endpoint cannot smuggle another line in."""
    with pytest.raises(ValueError, match="is not an endpoint"):
        uapi.configure(DeviceConfig(peers=(PeerConfig(A, endpoint="192.0.2.1:5\nreplace_peers=true"),)))
