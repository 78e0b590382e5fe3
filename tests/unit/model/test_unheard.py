"""What we add unheard is in the table as if it had been heard, whatever others do meanwhile."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.route import KINDS, NextHop, Path, RouteChange, RouteColumns, RouteGroup
from peerway.model.unheard import Unheard, Work, is_plain
from tests.harness.columns import burst, dumped
from tests.harness.reference import (
    DELETIONS,
    IPV4_PATHS,
    IPV6_PATHS,
    USUAL,
    V4,
    V6,
    VERBS,
    Kernel,
    Operation,
    carry_out,
)

OURS = [replace(USUAL[0], protocol=87), replace(USUAL[1], protocol=87)]
GROUPS: list[RouteGroup] = [(OURS[0], cl.make(2, V4)), (OURS[1], cl.make(10, V6))]
NET = V4[0]
# Others meet ours where they use its metric; left to themselves they seldom would.
MEETING = [*product(("add", "append", "replace"), (V4[0], V6[0]), USUAL[:2]), *DELETIONS[:2] * 3, *DELETIONS[16:18] * 3]
FOREIGN = st.sampled_from(MEETING) | st.sampled_from([*product(VERBS, V4, IPV4_PATHS), *product(VERBS, V6, IPV6_PATHS)])
STEPS = st.lists(FOREIGN | st.sampled_from(["begin", "put", "end", "read", "glance", "dump"]), min_size=8, max_size=30)


class Story:
    """A kernel, and a table that hears of all but what we add."""

    def __init__(self) -> None:
        self.kernel, self.rib, self.unheard = Kernel(), Rib(lambda _: True), Unheard()
        self.work: Work | None = None
        self.left: list[tuple[Prefix, Path]] = []
        self.refused: set[Prefix] = set()
        self.doubt = False

    def take(self, step: str | Operation) -> None:
        if isinstance(step, str):
            getattr(self, step)()
        else:
            carry_out(self.kernel, [step])

    def begin(self) -> None:
        if self.work is None:
            self.work, self.refused = self.unheard.begin(GROUPS), set()
            self.left = [(prefix, path) for path, column in GROUPS for prefix in cl.prefixes(column)]

    def put(self) -> None:
        """The kernel takes one of ours, and the filter drops what it tells."""
        if not self.left:
            return
        prefix, path = self.left.pop(0)
        told = len(self.kernel.waiting)
        (self.kernel.ipv4 if px.family(prefix) == px.AF_INET else self.kernel.ipv6)("add", prefix, path)
        if len(self.kernel.waiting) == told:
            self.refused.add(prefix)
        del self.kernel.waiting[told:]

    def end(self) -> None:
        while self.left:
            self.put()
        if self.work is not None:
            self.unheard.end(self.work, self.refused)
            self.work = None

    def read(self, most: int = 1000) -> None:
        own, settled = self.unheard.take()
        heard, self.kernel.waiting = self.kernel.waiting[:most], self.kernel.waiting[most:]
        self.doubt |= self.unheard.disputed(heard if most == 1 else burst(heard))
        if not self.kernel.waiting:
            self.unheard.forget(settled)
        for columns in own:
            self.rib.apply_many(columns)
        for change in heard:
            self.rib.apply(change)

    def glance(self) -> None:
        self.read(1)

    def dump(self) -> None:
        """As the engine does it: between works, after a reading."""
        if self.work is None:
            self.glance()
            self.rib.load(dumped(self.kernel.dump()))
            self.doubt = False

    def is_right(self) -> bool:
        return not self.rib.differing(dumped(self.kernel.dump()))


@given(STEPS)
def test_the_table_is_the_kernels_or_in_doubt(steps: list[str | Operation]) -> None:
    """Whatever others do before, during and after ours, and whenever it is read, all read is all right, or in doubt."""
    story = Story()
    for step in steps:
        story.take(step)
    story.end()
    story.read()
    assert story.is_right() or story.doubt or story.rib.uncertain
    story.dump()
    assert story.is_right()
    assert not story.unheard.work


@given(STEPS)
def test_others_with_another_metric_are_never_in_the_way(steps: list[str | Operation]) -> None:
    """What has another table or metric stands beside ours, in whatever order it is read."""
    story = Story()
    for step in steps:
        if isinstance(step, str) or (isinstance(step[2], Path) and (step[2].table, step[2].metric) != (254, 32)):
            story.take(step)
    story.end()
    story.read()
    assert story.is_right() or story.rib.uncertain
    assert not story.doubt


def added(column: RouteColumns) -> list[RouteChange]:
    assert column.kinds is not None
    rows = zip(column.kinds.tolist(), cl.prefixes(column.column), column.codes.tolist(), strict=True)
    return [RouteChange(KINDS[kind], prefix, column.paths[code]) for kind, prefix, code in rows]


def test_what_was_added_is_told_once_without_what_was_refused() -> None:
    """It has the form of its notifications, and its time is over when the stream was seen to its end since."""
    unheard = Unheard()
    unheard.end(unheard.begin(GROUPS), {NET})
    told, settled = unheard.take()
    expected = [(prefix, path) for path, column in GROUPS for prefix in cl.prefixes(column) if prefix != NET]
    assert [(change.prefix, change.path) for one in told for change in added(one)] == expected
    assert {change.kind.value for one in told for change in added(one)} == {"added"}
    assert unheard.take() == ([], settled)
    change = RouteChange(KINDS[0], V4[1], USUAL[2])
    assert unheard.disputed([change])
    assert not unheard.disputed([change._replace(prefix=NET)])
    unheard.forget(settled)
    assert not unheard.disputed([change])


def test_what_is_under_way_is_not_settled() -> None:
    """An end of the stream that was seen before ours were done says nothing of them."""
    unheard = Unheard()
    work = unheard.begin(GROUPS)
    assert unheard.take() == ([], [])
    unheard.end(work, ())
    assert unheard.disputed([RouteChange(KINDS[0], NET, USUAL[2])])


def test_what_was_abandoned_is_in_doubt_once() -> None:
    """Without an answer nobody knows what was added: that is a doubt, told once."""
    unheard = Unheard()
    unheard.abandon(unheard.begin(GROUPS))
    assert unheard.disputed([])
    assert not unheard.disputed([])
    assert unheard.take()[0] == []


@pytest.mark.parametrize(
    ("path", "family", "plain"),
    [
        (OURS[0], 2, True),
        (OURS[0], 10, True),
        (replace(OURS[0], nexthops=(NextHop(3),), scope=253), 2, True),
        (replace(OURS[0], scope=253), 10, False),
        (replace(OURS[0], metric=0), 10, False),
        (replace(OURS[0], nexthops=OURS[0].nexthops * 2), 2, False),
        (replace(OURS[0], nexthops=(NextHop(3, None, 2),)), 2, False),
        (replace(OURS[0], nexthops=(), nexthop_id=4), 2, False),
        (replace(OURS[0], nexthop_id=4), 2, False),
        (replace(OURS[0], tos=4), 2, False),
        (replace(OURS[0], type=6), 2, False),
        (replace(OURS[0], source=V6[0]), 10, False),
    ],
)
def test_only_what_reads_back_as_it_was_sent_is_plain(path: Path, family: int, plain: bool) -> None:
    """One next hop, a metric, and nothing that the kernel tells in other words."""
    assert is_plain(path, family) is plain
