"""The userspace protocol: answers are read in any pieces, and secrets are dropped."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_base

from peerway.model import prefix as px
from peerway.model.device import Peer, Reading
from peerway.model.keys import PublicKey, Secret
from peerway.model.prefix import Prefix
from peerway.protocols import uapi, uapi_units
from peerway.protocols.errors import RemoteProtocolError
from tests.harness.wg_strategies import ALLOWED_IPS, SECRETS, long_columns

A = PublicKey(bytes([1]) * 32)
PRIVATE = bytes(range(32))


def digest(psk: bytes) -> bytes:
    return b"digest of " + psk[:1]


def text_of(private: bytes, psk: bytes, allowed_ips: dict[Prefix, PublicKey], errno: str = "0") -> bytes:
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
def test_an_answer_is_read_in_any_pieces(
    ips: dict[Prefix, PublicKey], private: bytes, psk: Secret, pieces: list[int]
) -> None:
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


LINES_BEHIND = st.lists(st.sampled_from(["rx_bytes=4", "endpoint=1.2.3.4:5", "new_field=7", "tx_bytes=5"]), max_size=2)


@pytest.mark.parametrize("size", [64, 300, uapi_units.UNIT])
def test_units_of_any_size_are_one_answer(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever units end and pieces are cut, with other fields before, among and behind: the same comes out."""
    monkeypatch.setattr(uapi_units, "UNIT", size)
    monkeypatch.setattr(uapi_units, "FEW", min(size // 4, uapi_units.FEW))

    @given(st.lists(st.tuples(long_columns(), LINES_BEHIND, LINES_BEHIND), min_size=1, max_size=3), st.data())
    def check(peers: list[tuple[list[Prefix], list[str], list[str]]], data: st.DataObject) -> None:
        lines = ["listen_port=1"]
        for number, (prefixes, among, behind) in enumerate(peers):
            ips = [f"allowed_ip={px.text(prefix)}" for prefix in prefixes]
            cut = data.draw(st.integers(0, len(ips)))
            lines += [f"public_key={bytes([number]).hex() * 32}", "rx_bytes=4", *ips[:cut], *among, *ips[cut:], *behind]
        text = ("\n".join(lines) + "\nerrno=0\n\n").encode()
        expected = {
            prefix: PublicKey(bytes([number]) * 32) for number, (some, _, _) in enumerate(peers) for prefix in some
        }
        memory = None
        for _ in range(2):
            answer = uapi.Answer(digest, memory)
            for piece in cut_up(text, data.draw(st.lists(st.integers(1, 5000), max_size=5))):
                answer.feed(piece)
            assert answer.done
            told = answer.reading("wg0", 3)
            memory = answer.memory
            assert told.allowed_ips == expected
            assert [peer.rx_bytes for peer in told.device.peers.values()] == [4] * len(peers)
            assert told.device.listen_port == 1

    check()


def cut_up(text: bytes, sizes: list[int]) -> list[bytes]:
    """The text in pieces; the last one is the rest."""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [*pieces, text]


def test_same_lines_are_the_same_units() -> None:
    """A stream that is cut elsewhere gives the same units, so nothing is read again."""
    prefixes = [px.make(px.AF_INET, number.to_bytes(4, "big"), 32) for number in range(20000)]
    text = text_of(PRIVATE, bytes(32), dict.fromkeys(prefixes, A))
    first = read(text)
    first.reading("wg0", 3)
    again = uapi.Answer(digest, first.memory)
    for piece in cut_up(text, [1000] * 300):
        again.feed(piece)
    assert again.reading("wg0", 3).allowed_ips.keys() == set(prefixes)
    assert again.memory is first.memory


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
        read(f"public_key={A.hex()}\nallowed_ip={line}\nerrno=0\n\n".encode())


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
    ip = b"public_key=%b\nallowed_ip=10.0.0.0/8\n" % A.hex().encode()
    for wrong in (b"\n", b"fwmark=1\n\n", ip + b"\n", ip * 100 + b"\n", b"errno=0\n\nerrno=0\n\n", b"errno=0\n\nx"):
        with pytest.raises(RemoteProtocolError):
            read(wrong)


def test_endless_line_is_refused() -> None:
    """A line that never ends is not kept forever."""
    with pytest.raises(RemoteProtocolError):
        read(b"x" * (uapi.MAX_LINE + 1))
