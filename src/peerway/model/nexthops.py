"""Nexthop objects (ip-nexthop(8)): routes that name one by its id go where the object points at this moment."""

from __future__ import annotations

from peerway.model.route import NextHop, NexthopChange, NexthopObject, Path


class Nexthops:
    """
    The nexthop objects of a namespace, and what a path's next hops are with their help.
    """

    def __init__(self) -> None:
        self.objects: dict[int, NexthopObject] = {}

    def load(self, objects: dict[int, NexthopObject]) -> set[int]:
        """
        Take a dump in the place of what is held. Returns the ids whose meaning changed, groups included.
        """
        old, self.objects = self.objects, dict(objects)
        changed = {id_ for id_ in old.keys() | objects.keys() if old.get(id_) != objects.get(id_)}
        return self._with_groups(changed, old)

    def apply(self, change: NexthopChange) -> set[int]:
        """
        Take one notification. Returns the ids whose meaning changed: the object and the groups that contain it.
        """
        old = dict(self.objects) if change.object is None else self.objects
        if self.objects.get(change.id) == change.object:
            return set()
        affected = self._with_groups({change.id}, old)
        if change.object is None:
            self.objects.pop(change.id, None)
            self._leave_groups(change.id)
        else:
            self.objects[change.id] = change.object
        return affected

    def _leave_groups(self, gone: int) -> None:
        """The kernel takes a deleted object out of its groups; an emptied group is announced as deleted by itself."""
        for id_, item in list(self.objects.items()):
            if any(member == gone for member, _ in item.group):
                rest = tuple((member, weight) for member, weight in item.group if member != gone)
                self.objects[id_] = NexthopObject(id_, None, rest)

    def _with_groups(self, ids: set[int], old: dict[int, NexthopObject]) -> set[int]:
        groups = {
            item.id
            for objects in (old, self.objects)
            for item in objects.values()
            if any(member in ids for member, _ in item.group)
        }
        return ids | groups

    def resolve(self, path: Path) -> tuple[NextHop, ...]:
        """
        The next hops of a path. An object that is not known, or a blackhole, gives none.
        """
        if not path.nexthop_id:
            return path.nexthops
        item = self.objects.get(path.nexthop_id)
        if item is None:
            return ()
        if item.nexthop is not None:
            return (item.nexthop,)
        hops = []
        for member, weight in item.group:
            target = self.objects.get(member)
            if target is not None and target.nexthop is not None:
                hops.append(NextHop(target.nexthop.ifindex, target.nexthop.gateway, weight))
        return tuple(hops)
