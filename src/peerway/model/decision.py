"""What is decided about a prefix, and what was so before: the nouns of the plan."""

from __future__ import annotations

from typing import NamedTuple

from peerway.model.keys import PublicKey
from peerway.model.ownership import Verdict
from peerway.model.route import Path


class Standing(NamedTuple):
    """
    Whose a prefix is: at whom it is ours, which pinned peer is displaced, and who holds it on the device.
    """

    mine: PublicKey | None = None
    displaced: PublicKey | None = None
    held: PublicKey | None = None


class Decision(NamedTuple):
    """
    Who shall have a prefix, and which routes of ours it should have and has.
    """

    verdict: Verdict
    want: tuple[Path, ...] = ()
    have: tuple[Path, ...] = ()
