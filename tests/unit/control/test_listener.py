from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from peerway.control.listener import SocketTakenError, listen

GROUPS = frozenset({os.getegid()})


def test_the_directory_is_made_and_the_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    """Directories are 0755 and the socket 0660, whatever the umask; nothing temporary stays."""
    old = os.umask(0o077)
    try:
        listener = listen(tmp_path / "a" / "b" / "s", GROUPS)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "a" / "b" / "s").stat().st_mode) == 0o660
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["s"]
    listener.close()
    assert not (tmp_path / "a" / "b" / "s").exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """A socket file that a killed daemon left is no obstacle."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    listener = listen(tmp_path / "s", GROUPS)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
    listener.close()


@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_a_living_daemon_keeps_its_socket(tmp_path: Path, waiting: int) -> None:
    """Where somebody listens, even with a full queue of connections, the path is refused with the cure."""
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(tmp_path / "s"))
        living.listen(0)
        clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(waiting)]
        for client in clients:
            client.connect_ex(str(tmp_path / "s"))
        with pytest.raises(
            SocketTakenError, match=r"another peerway answers on .*s; stop it .* or set daemon.control_"
        ):
            listen(tmp_path / "s", GROUPS)
        for client in clients:
            client.close()
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    """Somebody's file at the path is an error and stays as it is."""
    (tmp_path / "s").write_text("precious")
    with pytest.raises(FileExistsError, match=r"no socket is in the way"):
        listen(tmp_path / "s", GROUPS)
    assert (tmp_path / "s").read_text() == "precious"


def test_a_successors_socket_is_not_removed(tmp_path: Path) -> None:
    """At its end a daemon removes its own socket file only, not that of one that came after it."""
    first = listen(tmp_path / "s", GROUPS)
    (tmp_path / "s").unlink()
    second = listen(tmp_path / "s", GROUPS)
    first.close()
    assert (tmp_path / "s").is_socket()
    second.close()
    assert not (tmp_path / "s").exists()


def test_a_path_that_cannot_be_is_an_error_with_its_name(tmp_path: Path) -> None:
    """A name that is too long, or a directory that is a file, is told with the path."""
    with pytest.raises(OSError, match="x" * 120):
        listen(tmp_path / ("x" * 120), GROUPS)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file"):
        listen(tmp_path / "file" / "s", GROUPS)


@pytest.mark.parametrize(
    ("groups", "group", "mode"), [({4}, 4, 0o660), ({0}, 0, 0o660), ({4, 24}, os.getegid(), 0o666)]
)
def test_the_socket_is_for_its_one_group_or_judged_by_the_daemon(
    tmp_path: Path, groups: set[int], group: int, mode: int
) -> None:
    """The file belongs to the one group whose members may open it; two have no place there, so the mode lets all."""
    if os.geteuid():
        pytest.skip("only root can give files to any group")
    listener = listen(tmp_path / "s", groups)
    found = (tmp_path / "s").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (group, mode)
    listener.close()


def test_a_group_that_cannot_be_given_the_socket_finds_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to give the file away the mode lets all, and the daemon tells them apart."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    listener = listen(tmp_path / "s", {4})
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o666
    listener.close()
