"""A million route changes leave no trace in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peerway.backends.rtnetlink import Rtnetlink
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.ports import Refusal
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path
from peerway.model.setup import PeerConfig
from tests.chaos.extent import extent
from tests.chaos.place import resident
from tests.harness.daemon import Daemon
from tests.harness.hand import Hand

CHANGES = extent(1_000_000, 200_000, 20_000)
WARM = extent(100_000, 100_000, 8_000)  # changes after which memory has the size that it keeps
PART = extent(10_000, 10_000, 1_000)
GROWTH = 1.05
RTPROT_BIRD = 12
PEERS = [PublicKey(bytes([number]) * 32) for number in (1, 2)]


def nets(first: int, count: int) -> Column:
    """/24 networks in a row."""
    numbers = range(first, first + count)
    (column,) = cl.columns(Prefix((20 << 24 | number % (1 << 20) << 8) << 8 | 24) for number in numbers)
    return column


def test_memory_is_flat_over_a_million_changes(
    namespace: Namespace, wg: WireGuard, daemon: Callable[..., Daemon]
) -> None:
    """After the first tenth of a million changes, of ever other prefixes, the daemon's memory no longer grows."""
    Hand(wg).peers(*map(PeerConfig, PEERS))
    running = daemon(namespace, {"interfaces": {"*": {"route_sync": "routes-to-peers"}}})
    with namespace.enter():
        table = Rtnetlink()
    with table:
        ifindex = next(link.ifindex for link in table.links().values() if link.name == wg.name)
        gateways = [derived_address(px.parse("fe80::/64"), peer) for peer in PEERS]
        paths = [
            Path(254, RTPROT_BIRD, metric, (NextHop(ifindex, way),))
            for metric, way in zip((9, 8), gateways, strict=True)
        ]
        done, sizes = 0, list[int]()

        def change(act: Callable[[Sequence[tuple[Path, Column]]], list[Refusal]], path: Path, column: Column) -> None:
            nonlocal done
            assert act([(path, column)]) == []
            running.request("POST", "/v1/verify") if done % WARM == 0 else running.get("/v1/status")
            done += len(column)

        while done < CHANGES:
            column = nets(done, PART)
            change(table.add_routes, paths[0], column)  # a learned prefix
            change(table.add_routes, paths[1], column)  # goes to the better route's peer
            change(table.delete_routes, paths[1], column)  # and back
            change(table.delete_routes, paths[0], column)  # and away
            if done % WARM < PART * 4:
                running.request("POST", "/v1/sync")
                sizes.append(resident(running.pid))
    print(f"{done} changes; memory in KiB: {[size >> 10 for size in sizes]}")
    assert max(sizes[1:]) <= sizes[0] * GROWTH
