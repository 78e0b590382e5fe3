"""What verbs share: the way to the daemon, and errors with their exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:  # each costs the start of a verb that does not need it
    from peerway.control.client import Client

NO, USAGE, NO_DAEMON, NO_PRIVILEGE = 1, 2, 3, 4
DEFAULT_FILE: Final = Path("/etc/peerway/peerway.yaml")


class Failure(Exception):  # noqa: N818  it is the command's end, not an error of ours
    """
    Ends the command with a sentence on standard error and an exit code.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Session:
    """
    One run of the command: which socket, and the client for it.
    """

    def __init__(self, socket: Path | None = None) -> None:
        self._socket = socket

    @property
    def socket(self) -> Path:
        """
        The socket that was named, else the one in the default configuration, else the default.
        """
        from peerway.control.client import DEFAULT_SOCKET  # noqa: PLC0415  see above

        found = self._socket
        if found is None and DEFAULT_FILE.exists():
            from peerway.config_text import control_socket_of  # noqa: PLC0415  see above

            found = control_socket_of(DEFAULT_FILE)
        return found or DEFAULT_SOCKET

    @contextmanager
    def daemon(self) -> Iterator[Client]:
        """
        The daemon's client. What it raises becomes a Failure with the exit code that fits.
        """
        from peerway.control import client  # noqa: PLC0415  see above
        from peerway.control.api import UnknownError, UnusableError  # noqa: PLC0415  see above

        try:
            yield client.Client(self.socket)
        except UnknownError as error:
            raise Failure(str(error), NO) from error
        except client.DaemonFailedError as error:
            raise Failure(str(error), NO) from error
        except UnusableError as error:
            raise Failure(str(error), USAGE) from error
        except client.NoDaemonError as error:
            raise Failure(str(error), NO_DAEMON) from error
        except client.NoPrivilegeError as error:
            raise Failure(str(error), NO_PRIVILEGE) from error


pass_session = click.make_pass_decorator(Session, ensure=True)


def _interfaces(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """WireGuard interfaces for shell completion: from the system, never from the daemon."""
    names = {file.name.removesuffix(".sock") for file in Path("/run/wireguard").glob("*.sock")}
    for device in Path("/sys/class/net").glob("*/uevent"):
        try:
            if "DEVTYPE=wireguard" in device.read_text():
                names.add(device.parent.name)
        except OSError:
            continue  # it went away
    return sorted(name for name in names if name.startswith(incomplete))


interface_argument = click.argument("interface", metavar="[IFACE]", required=False, shell_complete=_interfaces)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
