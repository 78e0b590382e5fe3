"""A plan over columns is the plan over their prefixes one by one."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from peerway.model.ownership import Verdict
from peerway.model.plan import Plan
from peerway.model.selection import Reason
from tests.harness.columns import entries, flat, however_few, pairs
from tests.harness.scene import NETS, PEERS, Scene

STALE = Verdict(refused=((PEERS[0], Reason.KERNEL),))  # a note on something that is no longer so


def said(todo: Plan, case: Scene) -> dict[str, object]:
    """All that a plan says, and what it made of the interface; by prefix, whatever the order."""
    ledger, interface = case.interface.ledger, case.interface
    return {
        "ahead": sorted(entries(todo.first_records)),
        "behind": sorted(entries(todo.last_records)),
        "add": pairs(todo.give),
        "remove": pairs(todo.take),
        "routes": [sorted(pairs(routes), key=repr) for routes in (todo.add_routes, todo.delete_routes)],
        "before": pairs(todo.before),
        "meant": pairs(todo.ours),
        "decided": sorted(flat(todo.decided.values())),
        "ledger": (dict(ledger.ours), dict(ledger.displaced)),
        "notes": dict(interface.notes),
        "counts": +interface.counts,
        "dirty": set(interface.dirty),
    }


@given(st.integers(0, 1 << 32))
def test_columns_are_decided_as_single_prefixes_are(seed: int) -> None:
    """Without a limit, which has an order, what is planned does not depend on what is decided together."""
    together, apart = Scene(seed, limit=0), Scene(seed, limit=0)
    for scene in (together, apart):
        scene.interface.notes.update(dict.fromkeys(NETS, STALE))
    with however_few():
        planned = together.plan()
    with patch("peerway.model.situations.FEW", len(NETS)), patch("peerway.model.plan.FEW", len(NETS)):
        assert said(planned, together) == said(apart.plan(), apart)
    assert not together.interface.dirty


@given(st.integers(0, 1 << 32), st.integers(1, 9))
def test_no_limit_is_exceeded_by_columns(seed: int, limit: int) -> None:
    """However many are alike, a peer learns up to its limit, keeps what it had, and who waits has no room."""
    case = Scene(seed, limit=limit)
    interface = case.interface
    had = dict(interface.ledger.ours)
    with however_few():
        case.plan()
    ours = interface.ledger.ours
    learned = [prefix for prefix in ours if prefix not in interface.gateways.derived]
    for peer in interface.device.peers:
        count = sum(ours[prefix] == peer for prefix in learned)
        kept = sum(ours[prefix] == peer == had.get(prefix) for prefix in learned)
        assert interface.counts[peer] == count <= max(limit, kept)
        waiting = {p for p, note in interface.notes.items() if (peer, Reason.LIMIT) in note.refused}
        assert count >= limit or waiting <= set(interface.dirty)
