"""What one notification makes of the routes of a prefix: the kernel's rules, on the paths of one entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from peerway.model.prefix import Prefix
from peerway.model.route import RTN_UNICAST, NextHop, Path, RouteChangeKind

Entry = Path | tuple[Path, ...]
"""The paths of one prefix: one stands for itself."""


def paths_of(entry: Entry | None) -> tuple[Path, ...]:
    """
    The paths of an entry, none of None.
    """
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


class Steps:
    """
    Notifications, applied to the paths of one prefix. Keeps nothing but the doubt of the step that it is at.
    """

    def __init__(self, relevant: Callable[[Path], bool]) -> None:
        """
        `relevant` tells whether a path is worth keeping.
        """
        self.relevant = relevant
        self._doubt = False

    def after(
        self, before: tuple[Path, ...], kind: RouteChangeKind, path: Path, *, v6: bool
    ) -> tuple[tuple[Path, ...], bool]:
        """
        The paths after a notification, and whether it leaves a doubt that only a dump ends.
        """
        self._doubt = False
        if not before and not (self.relevant(path) and kind is not RouteChangeKind.DELETED):
            return before, False
        after = self._ipv6(before, kind, path) if v6 else self._ipv4(before, kind, path)
        return in_order(after), self._doubt

    def _kept(self, path: Path) -> tuple[Path, ...]:
        return (path,) if self.relevant(path) else ()

    def _ipv4(self, before: tuple[Path, ...], kind: RouteChangeKind, path: Path) -> tuple[Path, ...]:
        same = [other for other in before if _ipv4_key(other) == _ipv4_key(path)]
        rest = tuple(other for other in before if other not in same)
        match kind:
            case RouteChangeKind.ADDED:
                same = [*self._kept(path)]
            case RouteChangeKind.APPENDED:
                same = same if path in same else [*same, *self._kept(path)]
            case RouteChangeKind.PREPENDED:
                same = same if path in same else [*self._kept(path), *same]
            case RouteChangeKind.REPLACED:
                self._doubt |= len(same) > 1
                same = [*self._kept(path), *(other for other in same[1:] if other != path)]
            case RouteChangeKind.DELETED:
                if path in same:
                    same.remove(path)
                elif same and self.relevant(path):
                    self._doubt = True
        return rest + tuple(same)

    def _ipv6(self, before: tuple[Path, ...], kind: RouteChangeKind, path: Path) -> tuple[Path, ...]:
        index = next((i for i, other in enumerate(before) if _is_sibling(other, path)), None)
        match kind:
            case RouteChangeKind.REPLACED:
                return self._put(before, _replaced(before, path), path)
            case RouteChangeKind.ADDED | RouteChangeKind.APPENDED | RouteChangeKind.PREPENDED:
                if path in before:
                    return before
                if index is not None:  # a dump tells the protocol of the first, a notification that of the last
                    self._doubt |= before[index].protocol != path.protocol
                return self._put(before, index, path)
            case RouteChangeKind.DELETED:
                return self._delete_ipv6(before, index, path)
            case _:
                assert_never(kind)

    def _delete_ipv6(self, before: tuple[Path, ...], index: int | None, path: Path) -> tuple[Path, ...]:
        if path in before:
            at = before.index(path)
            return before[:at] + before[at + 1 :]
        if index is None:
            return before
        left = _without(before[index].nexthops, path.nexthops)
        if left is None:
            self._doubt |= self.relevant(path)
            return before
        if not left:
            return before[:index] + before[index + 1 :]
        return self._put(before, index, _with_nexthops(before[index], left))

    def _put(self, before: tuple[Path, ...], index: int | None, path: Path) -> tuple[Path, ...]:
        """The path in the place of another, or behind all."""
        if index is None:
            return before + self._kept(path)
        return before[:index] + self._kept(path) + before[index + 1 :]


def in_order(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """
    One order for all that have no order among each other; the kernel's remains within table, tos and metric.
    """
    return paths if len(paths) < 2 else tuple(sorted(paths, key=_rank))


def _rank(path: Path) -> tuple[int, int, int, int]:
    return path.table, path.tos, path.metric, -1 if path.source is None else path.source


def _ipv4_key(path: Path) -> tuple[int, int, int]:
    return path.table, path.tos, path.metric


def _ipv6_key(path: Path) -> tuple[int, int, Prefix | None]:
    return path.table, path.metric, path.source


def _is_sibling(one: Path, other: Path) -> bool:
    """
    Whether the kernel merges two IPv6 routes into one multipath route.
    """
    return _ipv6_key(one) == _ipv6_key(other) and _may_have_siblings(one) and _may_have_siblings(other)


def _may_have_siblings(path: Path) -> bool:
    """rt6_qualify_for_ecmp (include/net/ip6_route.h)."""
    return path.type == RTN_UNICAST and not path.nexthop_id and all(hop.gateway is not None for hop in path.nexthops)


def _replaced(before: tuple[Path, ...], path: Path) -> int | None:
    """
    Which IPv6 path another one takes the place of: the first of its own sort, with or without gateway, else the first
    of any (fib6_add_rt2node).
    """
    same = [index for index, other in enumerate(before) if _ipv6_key(other) == _ipv6_key(path)]
    kind = _may_have_siblings(path)
    return next((index for index in same if _may_have_siblings(before[index]) == kind), same[0] if same else None)


def _without(hops: tuple[NextHop, ...], gone: tuple[NextHop, ...]) -> tuple[NextHop, ...] | None:
    """The next hops that remain, compared without weights; None if one of `gone` was not there."""
    targets = {(hop.ifindex, hop.gateway) for hop in gone}
    if not targets <= {(hop.ifindex, hop.gateway) for hop in hops}:
        return None
    return tuple(hop for hop in hops if (hop.ifindex, hop.gateway) not in targets)


def _with_nexthops(path: Path, hops: tuple[NextHop, ...]) -> Path:
    if len(hops) == 1:  # what is left alone has no weight any more
        hops = (NextHop(hops[0].ifindex, hops[0].gateway),)
    return Path(
        path.table, path.protocol, path.metric, hops, path.nexthop_id, path.type, path.scope, path.tos, path.source
    )
