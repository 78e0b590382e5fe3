"""A small kernel kept by hand, for the Rib: it does with routes what fib_table_insert, fib6_add_rt2node and their
deletions do, and tells what they tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations, product

from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path, RouteChange, RouteChangeKind
from tests.harness.site import WG, gateway, key

Operation = tuple[str, Prefix, Path | int]
Entries = dict[Prefix, Path | tuple[Path, ...]]
ADDED, APPENDED, PREPENDED = RouteChangeKind.ADDED, RouteChangeKind.APPENDED, RouteChangeKind.PREPENDED
REPLACED, DELETED = RouteChangeKind.REPLACED, RouteChangeKind.DELETED
V4 = [px.parse("10.0.0.0/8"), px.parse("10.9.0.0/16")]
V6 = [px.parse("2001:db8::/32"), px.parse("2001:db8:1::/48")]
HOPS = tuple(sorted((NextHop(WG, gateway(key(number))) for number in (1, 2, 3)), key=lambda hop: hop.gateway or 0))
SOURCE = px.parse("fd00::/16")


@dataclass
class Kernel:
    """The routes of a kernel in its own order, and the notifications that wait."""

    routes: dict[Prefix, list[Path]] = field(default_factory=dict)
    waiting: list[RouteChange] = field(default_factory=list)

    def tell(self, kind: RouteChangeKind, prefix: Prefix, path: Path) -> None:
        self.waiting.append(RouteChange(kind, prefix, path))

    def standing(self, prefix: Prefix, number: int) -> Path | None:
        """One of the routes of a prefix, or an IPv6 one of one next hop only."""
        paths = self.routes.get(prefix)
        if not paths:
            return None
        path = paths[number % len(paths)]
        if number < 4 or px.family(prefix) == px.AF_INET:
            return path
        return replace(path, nexthops=(path.nexthops[number % len(path.nexthops)],))

    def dump(self, keep: Callable[[Path], bool] = lambda _: True) -> Entries:
        """As the kernel dumps: table by table, lower metrics first."""
        table: Entries = {}
        for prefix, paths in self.routes.items():
            ordered = sorted(filter(keep, paths), key=lambda path: (path.table % 256, -path.tos, path.metric))
            if ordered:
                table[prefix] = ordered[0] if len(ordered) == 1 else tuple(ordered)
        return table

    def ipv4(self, verb: str, prefix: Prefix, path: Path) -> None:
        paths = self.routes.setdefault(prefix, [])
        same = [i for i, other in enumerate(paths) if _ipv4_key(other) == _ipv4_key(path)]
        match verb:
            case "delete":
                if path in paths:
                    paths.remove(path)
                    self.tell(DELETED, prefix, path)
            case _ if path in paths or (verb == "add" and same):
                pass  # EEXIST
            case "replace" if same:
                paths[same[0]] = path
                self.tell(REPLACED, prefix, path)
            case "append" if same:
                paths.insert(same[-1] + 1, path)
                self.tell(APPENDED, prefix, path)
            case "prepend" if same:
                paths.insert(same[0], path)
                self.tell(PREPENDED, prefix, path)
            case _:
                paths.append(path)
                self.tell(ADDED, prefix, path)

    def ipv6(self, verb: str, prefix: Prefix, path: Path) -> None:
        paths = self.routes.setdefault(prefix, [])
        at = next((i for i, other in enumerate(paths) if _ipv6_key(other) == _ipv6_key(path)), None)
        have = () if at is None else paths[at].nexthops
        match verb:
            case "delete":
                self._delete_ipv6(prefix, path, at)
            case "replace" if at is not None:
                if paths[at] != path:
                    paths[at] = path
                    self.tell(REPLACED, prefix, path)
            case "add" if at is not None:
                pass  # EEXIST
            case _ if at is not None:
                fresh = tuple(hop for hop in path.nexthops if hop not in have)
                if fresh:
                    paths[at] = replace(path, nexthops=tuple(sorted(have + fresh, key=lambda hop: hop.gateway or 0)))
                    self.tell(APPENDED if verb == "append" else PREPENDED, prefix, paths[at])
            case _:
                paths.append(path)
                self.tell(ADDED, prefix, path)

    def _delete_ipv6(self, prefix: Prefix, path: Path, at: int | None) -> None:
        """One next hop at a time, or the whole route at once."""
        paths = self.routes[prefix]
        if at is None:
            return
        have = paths[at].nexthops
        gone = tuple(hop for hop in have if hop in path.nexthops)
        if not gone or gone != path.nexthops:
            return
        left = tuple(hop for hop in have if hop not in gone)
        paths[at : at + 1] = [replace(path, nexthops=left)] if left else []
        self.tell(DELETED, prefix, path)


def _ipv4_key(path: Path) -> tuple[int, int, int]:
    return path.table, path.tos, path.metric


def _ipv6_key(path: Path) -> tuple[int, int, Prefix | None]:
    return path.table, path.metric, path.source


VERBS = ("add", "append", "prepend", "replace")
USUAL = [Path(254, 12, 32, (hop,)) for hop in HOPS]  # these meet often
IPV4_PATHS = [
    *USUAL * 4,
    *(Path(table, 12, metric, HOPS[:1], tos=tos) for table, metric, tos in product((254, 100), (0, 32), (0, 16))),
    replace(USUAL[0], protocol=4),
    replace(USUAL[0], nexthops=(NextHop(WG),)),
]
IPV6_PATHS = [
    *USUAL * 4,
    *(replace(USUAL[0], nexthops=hops) for hops in combinations(HOPS, 2)),  # in the order that the decoder gives them
    *(
        Path(table, 12, metric, HOPS[:1], source=source)
        for table, metric, source in product((254, 100), (32, 64), (None, SOURCE))
    ),
]
DELETIONS = [("delete", prefix, number) for prefix in (*V4, *V6) for number in range(8)]
# Drawn from lists of all there are, which is a good deal quicker than to put each together. A number deletes one of
# the routes that stand, from 4 on one of its next hops. Left to itself a list is a handful, which seldom meet.
OPERATIONS = st.lists(
    st.sampled_from([*product(VERBS, V4[:1] * 9 + V4[1:], IPV4_PATHS)])
    | st.sampled_from([*product(VERBS, V6[:1] * 9 + V6[1:], IPV6_PATHS)])
    | st.sampled_from(DELETIONS),
    min_size=12,
    max_size=25,
)


def carry_out(kernel: Kernel, operations: list[Operation]) -> None:
    for verb, prefix, what in operations:
        path = what if isinstance(what, Path) else kernel.standing(prefix, what)
        if path is not None:
            (kernel.ipv4 if px.family(prefix) == px.AF_INET else kernel.ipv6)(verb, prefix, path)
