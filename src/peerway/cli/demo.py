"""`peerway demo`: a lab in private namespaces that shows the main job."""

from __future__ import annotations

import click


@click.command
@click.option("--keep", is_flag=True, help="Leave the lab standing, to look around in it.")
@click.option("--down", is_flag=True, help="Take away what --keep left.")
@click.pass_context
def command(ctx: click.Context, keep: bool, down: bool) -> None:  # noqa: FBT001  click's
    """Show the main job in private namespaces; leaves no trace."""
    from peerway.lab.demo import main  # noqa: PLC0415  only this verb needs the lab

    ctx.exit(main(keep=keep, down=down))
