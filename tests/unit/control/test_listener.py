from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from peerway.control.listener import Credentials, SocketTakenError, credentials_of, listen


def test_the_directory_is_made_and_the_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    """Directories are 0755 and the socket 0660, whatever the umask; nothing temporary stays."""
    old = os.umask(0o077)
    try:
        listener = listen(tmp_path / "a" / "b" / "s")
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
    listener = listen(tmp_path / "s")
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
            listen(tmp_path / "s")
        for client in clients:
            client.close()
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    """Somebody's file at the path is an error and stays as it is."""
    (tmp_path / "s").write_text("precious")
    with pytest.raises(FileExistsError, match=r"no socket is in the way"):
        listen(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


def test_a_successors_socket_is_not_removed(tmp_path: Path) -> None:
    """At its end a daemon removes its own socket file only, not that of one that came after it."""
    first = listen(tmp_path / "s")
    (tmp_path / "s").unlink()
    second = listen(tmp_path / "s")
    first.close()
    assert (tmp_path / "s").is_socket()
    second.close()
    assert not (tmp_path / "s").exists()


def test_a_path_that_cannot_be_is_an_error_with_its_name(tmp_path: Path) -> None:
    """A name that is too long, or a directory that is a file, is told with the path."""
    with pytest.raises(OSError, match="x" * 120):
        listen(tmp_path / ("x" * 120))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file"):
        listen(tmp_path / "file" / "s")


def test_the_kernel_tells_who_connected() -> None:
    """Credentials are those of the process at the other end."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert credentials_of(left) == Credentials(os.getpid(), os.getuid(), os.getgid())
