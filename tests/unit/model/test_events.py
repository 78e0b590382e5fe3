"""Events: frozen, in the past tense, each with its interface, and without a place for a secret."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from peerway.model import events as ev
from tests.harness.site import key

KINDS = [kind for _, kind in inspect.getmembers(ev, inspect.isclass) if issubclass(kind, ev.Event)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_names_its_interface_and_has_no_secret(kind: type[ev.Event]) -> None:
    """The first field is the interface; none is called, or typed, as a private or preshared key."""
    assert is_dataclass(kind)
    names = [field.name for field in fields(kind)]
    assert names[0] == "interface"
    assert not {"private_key", "psk", "preshared_key", "secret"} & set(names)
    assert "Secret" not in str([field.type for field in fields(kind)])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in (ev.Event, ev.PeerEvent)])
def test_every_event_tells_what_happened(kind: type[ev.Event]) -> None:
    """Its name ends in a participle, or a direction; its docstring is a sentence."""
    endings = ("Added", "Removed", "Renamed", "Changed", "Seen", "Moved", "Refused", "Broken", "Up", "Down")
    assert kind.__name__.endswith(endings)
    assert (kind.__doc__ or "").rstrip().endswith(".")


def test_events_are_values() -> None:
    """Equal events are equal, hash alike, and cannot be changed by a listener."""
    event = ev.PeerAdded("wg0", key(1))
    assert {event, ev.PeerAdded("wg0", key(1))} == {event}
    assert len({event, ev.PeerRemoved("wg0", key(1))}) == 2
    with pytest.raises(FrozenInstanceError):
        event.interface = "wg1"  # type: ignore[misc]
