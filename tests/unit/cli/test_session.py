from __future__ import annotations

from pathlib import Path

import pytest

from peerway import settings
from peerway.cli import session
from peerway.cli.session import Failure, Session
from peerway.config import Config
from peerway.control import client
from peerway.control.api import UnknownError, UnusableError


def test_defaults_are_those_of_the_configuration() -> None:
    """The paths that the light client repeats are those that the configuration declares."""
    assert session.DEFAULT_FILE == settings.DEFAULT_FILE
    assert Config().daemon.control_socket == client.DEFAULT_SOCKET


def test_the_socket_is_the_named_one_then_the_configured_one_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-s stands over the default configuration file, which stands over the default."""
    monkeypatch.setattr(session, "DEFAULT_FILE", tmp_path / "peerway.yaml")
    assert Session().socket == client.DEFAULT_SOCKET
    (tmp_path / "peerway.yaml").write_text("daemon: {control_socket: /x/y}")
    assert Session().socket == Path("/x/y")
    assert Session(Path("/named")).socket == Path("/named")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownError("x"), 1),
        (client.DaemonFailedError("x"), 1),
        (UnusableError("x"), 2),
        (client.NoDaemonError("x"), 3),
        (client.NoPrivilegeError("x"), 4),
    ],
)
def test_errors_of_the_daemon_have_exit_codes(error: Exception, code: int) -> None:
    """Each kind of error ends the command with the code of DESIGN section 7 and its own sentence."""
    with pytest.raises(Failure, match=r"^x$") as raised, Session(Path("/x")).daemon():
        raise error
    assert raised.value.exit_code == code
