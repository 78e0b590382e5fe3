"""`peerway run`: the daemon, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click


@click.command
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration file. Default: /etc/peerway/peerway.yaml, if there is one.",
)
@click.pass_context
def command(ctx: click.Context, file: Path | None) -> None:
    """Run the daemon in the foreground until a signal stops it."""
    from peerway.daemon import main  # noqa: PLC0415  only this verb needs all of it

    ctx.exit(main(file))
