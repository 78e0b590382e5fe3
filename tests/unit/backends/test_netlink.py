"""The netlink socket, against this machine's own kernel, which answers reading requests of anybody."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest
from typing_extensions import override

from peerway.backends.inbox import Inbox
from peerway.backends.netlink import NETLINK_ROUTE, Dump, NetlinkError, NetlinkSocket
from peerway.protocols import bpf, rtrequest
from peerway.protocols import netlink as nl
from peerway.protocols.rtlink import RTM_GETLINK, RTM_NEWLINK, parse_link

MISSING = struct.pack("=BxHIII", 0, 0, 0x7FFFFFF0, 0, 0)
FIRST = struct.pack("=BxHIII", 0, 0, 1, 0, 0)


@pytest.fixture
def sock() -> Iterator[NetlinkSocket]:
    with NetlinkSocket(NETLINK_ROUTE) as opened:
        yield opened


def test_a_dump_is_read_to_its_end(sock: NetlinkSocket) -> None:
    """All links come, the loopback among them, as often as it is asked."""
    for _ in range(2):
        dump = sock.dump(RTM_GETLINK, rtrequest.dump_links())
        links = [parse_link(kind, payload) for kind, payload in dump]
        assert "lo" in [change.link.name for change in links if change and change.link]
        assert not dump.interrupted


def test_a_request_gives_its_replies(sock: NetlinkSocket) -> None:
    """The reply comes, without the acknowledgement behind it."""
    (reply,) = sock.request(RTM_GETLINK, 0, FIRST)
    change = parse_link(reply.type, reply.payload)
    assert change is not None
    assert change.ifindex == 1


def test_a_refusal_has_the_kernels_words_and_ours(sock: NetlinkSocket) -> None:
    """A refused request or dump raises an OSError that says what was being done and why it failed."""
    with pytest.raises(NetlinkError, match=r"\[Errno 19\] reading link 9: No such device") as caught:
        sock.request(RTM_GETLINK, 0, MISSING, doing="reading link 9")
    assert (caught.value.errno, caught.value.doing) == (errno.ENODEV, "reading link 9")
    with pytest.raises(NetlinkError, match=r"reading the links: .*nvalid") as caught:
        list(sock.dump(RTM_GETLINK, b"\0", doing="reading the links"))
    assert caught.value.errno == errno.EINVAL
    assert caught.value.extack in str(caught.value)


def test_a_dump_that_was_given_up_spoils_nothing(sock: NetlinkSocket) -> None:
    """The rest of a dump that nobody read is thrown away before the next request."""
    first = sock.dump(RTM_GETLINK, rtrequest.dump_links())
    again = sock.dump(RTM_GETLINK, rtrequest.dump_links())
    seqs = set()
    for datagram in again.datagrams():
        for message in nl.messages(datagram):
            seqs.add(message.seq)
            again.note(message)
    assert seqs == {again.seq} != {first.seq}
    assert [reply.type for reply in sock.request(RTM_GETLINK, 0, FIRST)] == [RTM_NEWLINK]
    assert list(sock.dump(RTM_GETLINK, rtrequest.dump_links()))


def test_a_dump_is_read_in_bulk_to_its_end(sock: NetlinkSocket) -> None:
    """The inbox has all that the kernel tells, and the reading ends with the dump, not with the guard's time."""
    inbox, types = Inbox(), []
    dump = sock.dump(RTM_GETLINK, rtrequest.dump_links())
    for filled in dump.fill(inbox):
        data, at = filled.words.tobytes(), 0
        for size in filled.sizes:
            for message in nl.messages(data[at : at + size]):
                types.append(message.type)
                dump.note(message)
            at += nl.aligned(size)
    assert types[-1] == nl.NLMSG_DONE
    assert types[:-1] == [RTM_NEWLINK] * len(list(sock.dump(RTM_GETLINK, rtrequest.dump_links())))


def test_a_filter_comes_and_goes() -> None:
    """A program that passes nothing leaves the socket deaf, and without it answers come again."""
    with NetlinkSocket(NETLINK_ROUTE, timeout=0.01) as sock:
        sock.filter(None)
        for _ in range(2):
            sock.filter(bpf.assemble([(bpf.RET, 0)]))
            with pytest.raises(NetlinkError, match="waiting for the kernel"):
                sock.request(RTM_GETLINK, 0, FIRST)
        sock.filter(None)
        assert len(sock.request(RTM_GETLINK, 0, FIRST)) == 1


def test_silence_is_an_error_in_the_end() -> None:
    """Without an answer the guard raises ETIMEDOUT, and looking for what waits gives nothing."""
    with NetlinkSocket(NETLINK_ROUTE, timeout=0.01) as sock:
        assert sock.receive_waiting() is None
        with pytest.raises(NetlinkError) as caught:
            sock.receive()
        assert caught.value.errno == errno.ETIMEDOUT
        inbox = Inbox()
        assert sock.receive_many(inbox)
        with pytest.raises(NetlinkError) as caught:
            sock.receive_many(inbox, wait=True)
    assert caught.value.errno == errno.ETIMEDOUT


class Script(NetlinkSocket):
    """A socket that has these datagrams."""

    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = list(datagrams)

    @override
    def receive(self) -> bytes:
        return self.datagrams.pop(0)


@pytest.mark.parametrize("marked", [0, 1, 2])
def test_an_interrupted_dump_is_noticed_at_any_message(marked: int) -> None:
    """NLM_F_DUMP_INTR counts wherever it stands, also on the end itself; other dumps' messages do not."""

    def flags(at: int) -> int:
        return nl.NLM_F_MULTI | (nl.NLM_F_DUMP_INTR if at == marked else 0)

    script = Script(
        nl.message(24, flags(0), 5) + nl.message(24, nl.NLM_F_DUMP_INTR, 4) + nl.message(24, flags(1), 5),
        nl.message(nl.NLMSG_DONE, flags(2), 5, bytes(4)),
    )
    dump = Dump(script, 5, "")
    assert [kind for kind, _ in dump] == [24, 24]
    assert dump.interrupted
    calm = Dump(Script(nl.message(24, 2, 5) + nl.message(nl.NLMSG_DONE, 2, 5, bytes(4))), 5, "")
    assert [kind for kind, _ in calm] == [24]
    assert not calm.interrupted


def test_a_dump_that_ends_with_an_error_raises() -> None:
    """The error in NLMSG_DONE is raised, after the messages before it."""
    dump = iter(Dump(Script(nl.message(24, 2, 5) + nl.message(3, 2, 5, struct.pack("=i", -90))), 5, "reading"))
    next(dump)
    with pytest.raises(NetlinkError) as caught:
        next(dump)
    assert caught.value.errno == 90
