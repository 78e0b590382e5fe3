"""The routes that matter, as the kernel holds them: by prefix, in the kernel's order, kept up by notifications.

What the kernel does not say (facts: fib_table_insert, inet6_rt_notify) is handled with care: a replaced IPv4 route is
not named, so where several routes share prefix, table, tos and metric, a replacement leaves doubt, and only a new
dump ends it (`uncertain`). So does an IPv6 multipath route of several protocols. All else is followed exactly, but
for what stands beside routes that are not `relevant`: a replacement may have been of one of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.route import RTN_UNICAST, NextHop, Path, RouteChange, RouteChangeKind

Entry = Path | tuple[Path, ...]
Table = dict[Prefix, Entry]


class Rib:
    """
    Routes by prefix. One path stands for itself, several are a tuple in the kernel's order.
    """

    def __init__(self, relevant: Callable[[Path], bool]) -> None:
        """
        `relevant` tells whether a path is worth keeping: it leaves through an interface of ours, or may.
        """
        self.relevant = relevant
        self.entries: Table = {}
        self.uncertain = False

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self.entries)

    def paths(self, prefix: Prefix) -> tuple[Path, ...]:
        """
        The paths of a prefix, in the kernel's order.
        """
        entry = self.entries.get(prefix, ())
        return entry if isinstance(entry, tuple) else (entry,)

    def distinct_paths(self) -> set[Path]:
        """
        Each path that any prefix has: a few hundred, even for a full table.
        """
        found: set[Path] = set()
        for entry in set(self.entries.values()):
            found.update(entry if isinstance(entry, tuple) else (entry,))
        return found

    def having(self, paths: Iterable[Path]) -> set[Prefix]:
        """
        The prefixes that have one of these paths.
        """
        wanted = set(paths)
        if not wanted:
            return set()
        entries = {
            entry
            for entry in set(self.entries.values())
            if not wanted.isdisjoint(entry if isinstance(entry, tuple) else (entry,))
        }
        return {prefix for prefix, entry in self.entries.items() if entry in entries}

    def load(self, dump: Table) -> set[Prefix]:
        """
        Take a dump in the place of what is held. Returns the prefixes that differ.
        """
        differ = self.differing(dump)
        self.entries = dump
        self.uncertain = False
        return differ

    def differing(self, dump: Table) -> set[Prefix]:
        """
        The prefixes of which a dump says something else than what is held. Puts the entries of the dump in order.
        """
        for prefix, entry in dump.items():
            if isinstance(entry, tuple):
                dump[prefix] = _in_order(entry)
        held = self.entries
        differ = {prefix for prefix, entry in dump.items() if held.get(prefix) != entry}
        differ.update(held.keys() - dump.keys())
        return differ

    def apply(self, change: RouteChange) -> bool:
        """
        Take one notification. Returns whether the prefix differs now.
        """
        before = self.paths(change.prefix)
        if not before and not (self.relevant(change.path) and change.kind is not RouteChangeKind.DELETED):
            return False
        if px.family(change.prefix) == px.AF_INET:
            after = _in_order(self._apply_ipv4(before, change))
        else:
            after = _in_order(self._apply_ipv6(before, change))
        if after == before:
            return False
        self._store(change.prefix, after)
        return True

    def _store(self, prefix: Prefix, paths: tuple[Path, ...]) -> None:
        if not paths:
            self.entries.pop(prefix, None)
        else:
            self.entries[prefix] = paths[0] if len(paths) == 1 else paths

    def _kept(self, path: Path) -> tuple[Path, ...]:
        return (path,) if self.relevant(path) else ()

    def _apply_ipv4(self, before: tuple[Path, ...], change: RouteChange) -> tuple[Path, ...]:
        path = change.path
        same = [other for other in before if _ipv4_key(other) == _ipv4_key(path)]
        rest = tuple(other for other in before if other not in same)
        match change.kind:
            case RouteChangeKind.ADDED:
                same = [*self._kept(path)]
            case RouteChangeKind.APPENDED:
                same = same if path in same else [*same, *self._kept(path)]
            case RouteChangeKind.PREPENDED:
                same = same if path in same else [*self._kept(path), *same]
            case RouteChangeKind.REPLACED:
                self.uncertain |= len(same) > 1
                same = [*self._kept(path), *(other for other in same[1:] if other != path)]
            case RouteChangeKind.DELETED:
                if path in same:
                    same.remove(path)
                elif same and self.relevant(path):
                    self.uncertain = True
        return rest + tuple(same)

    def _apply_ipv6(self, before: tuple[Path, ...], change: RouteChange) -> tuple[Path, ...]:
        path = change.path
        index = next((i for i, other in enumerate(before) if _is_sibling(other, path)), None)
        match change.kind:
            case RouteChangeKind.REPLACED:
                return self._put(before, _replaced(before, path), path)
            case RouteChangeKind.ADDED | RouteChangeKind.APPENDED | RouteChangeKind.PREPENDED:
                if path in before:
                    return before
                if index is not None:  # a dump tells the protocol of the first, a notification that of the last
                    self.uncertain |= before[index].protocol != path.protocol
                return self._put(before, index, path)
            case RouteChangeKind.DELETED:
                return self._delete_ipv6(before, index, path)
            case _:
                assert_never(change.kind)

    def _delete_ipv6(self, before: tuple[Path, ...], index: int | None, path: Path) -> tuple[Path, ...]:
        if path in before:
            at = before.index(path)
            return before[:at] + before[at + 1 :]
        if index is None:
            return before
        left = _without(before[index].nexthops, path.nexthops)
        if left is None:
            self.uncertain |= self.relevant(path)
            return before
        if not left:
            return before[:index] + before[index + 1 :]
        return self._put(before, index, _with_nexthops(before[index], left))

    def _put(self, before: tuple[Path, ...], index: int | None, path: Path) -> tuple[Path, ...]:
        """The path in the place of another, or behind all."""
        if index is None:
            return before + self._kept(path)
        return before[:index] + self._kept(path) + before[index + 1 :]


def _in_order(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """One order for all that have no order among each other; the kernel's remains within table, tos and metric."""
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
