"""Who is at the other end, and what they may do."""

from __future__ import annotations

import os
import socket

import pytest

from peerway.control.access import Access, Credentials, Level, credentials_of

READERS, ADMINS, OWN = 50, 60, 70
ACCESS = Access(frozenset({READERS}), frozenset({ADMINS}), frozenset({0, OWN}))


def test_the_kernel_tells_who_connected() -> None:
    """Credentials are those of the process at the other end, with all its groups."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert credentials_of(left) == Credentials(os.getpid(), os.getuid(), os.getgid(), frozenset(os.getgroups()))


@pytest.mark.parametrize(
    ("caller", "level"),
    [
        (Credentials(1, 0, 0), Level.CHANGE),
        (Credentials(1, OWN, 1), Level.CHANGE),
        (Credentials(1, 1000, ADMINS), Level.CHANGE),
        (Credentials(1, 1000, 1000, frozenset({5, ADMINS, READERS})), Level.CHANGE),
        (Credentials(1, 1000, READERS), Level.READ),
        (Credentials(1, 1000, 1000, frozenset({5, READERS})), Level.READ),
        (Credentials(1, 1000, 1000, frozenset({5, OWN})), Level.NOTHING),
        (Credentials(1, READERS, 0, frozenset({0})), Level.NOTHING),
    ],
)
def test_the_level_comes_from_user_and_groups(caller: Credentials, level: Level) -> None:
    """Root, the daemon's user and administrators change, readers ask; a group's number is no user's."""
    assert ACCESS.level(caller) is level


def test_without_settings_the_own_group_may_ask() -> None:
    """The daemon's group reads, and nobody but root and its user changes anything."""
    access = Access.of()
    assert access.readers == {os.getegid()}
    assert not access.admins
    assert access.level(Credentials(1, os.geteuid(), 9)) is Level.CHANGE
    assert access.level(Credentials(1, 4321, os.getegid())) is Level.READ


def test_groups_of_the_settings_take_the_place() -> None:
    """A group for readers is instead of the own one; that of administrators may ask too."""
    access = Access.of(READERS, ADMINS)
    assert access.level(Credentials(1, 4321, os.getegid())) is Level.NOTHING
    assert access.groups == {READERS, ADMINS}


def test_the_refusal_names_who_may() -> None:
    """The sentence has the groups by name, or by number if they have none, and does not tell to join root's."""
    access = Access(frozenset({0, 4}), frozenset({987_654}))
    assert access.refusal(Level.CHANGE) == ("permission denied: be root (sudo), or a member of the group 987654")
    assert access.refusal(Level.READ) == (
        "permission denied: be root (sudo), or a member of the group adm, or a member of the group 987654"
    )
