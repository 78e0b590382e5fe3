"""The command `peerway`: global options and the list of verbs. A verb's module is imported when it is needed."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
from typing_extensions import override

from peerway import __version__
from peerway.cli.session import Failure, Session

VERBS: Final = (
    "run",
    "status",
    "routes",
    "why",
    "monitor",
    "verify",
    "sync",
    "reload",
    "addresses",
    "route",
    "config",
    "demo",
    "completion",
)
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count it


class Verbs(click.Group):
    """
    Verbs in the order of the manual, each `command` in the module of its name.
    """

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"peerway.cli.{cmd_name}").command
        return command

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # `peerway routes | head`: who reads has enough
            with suppress(OSError):  # what is still buffered must not complain at the exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Failure as failure:
            click.echo(f"peerway: {failure}", err=True)
            ctx.exit(failure.exit_code)
        return result


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 no daemon, 4 no privilege.",
)
@click.option(
    "-s",
    "--socket",
    type=click.Path(readable=False, path_type=Path),
    envvar="PEERWAY_SOCKET",
    show_envvar=True,
    help="The daemon's control socket. Default: daemon.control_socket of the default configuration file.",
)
@click.version_option(__version__, "-V", "--version", prog_name="peerway")
@click.pass_context
def cli(ctx: click.Context, socket: Path | None) -> None:
    """Keep the kernel's routing table and WireGuard's AllowedIPs in step."""
    ctx.obj = Session(socket)
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """
    The console script.
    """
    cli(prog_name="peerway")
