"""`peerway why`: one packet's way, or where it ends."""

from __future__ import annotations

import click

from peerway.cli.output import clean, print_json
from peerway.cli.session import NO, Session, json_option, pass_session


@click.command
@click.argument("target", metavar="ADDRESS|PREFIX")
@json_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, target: str, as_json: bool) -> None:  # noqa: FBT001  click's
    """Tell the way of a packet, or where it ends.

    The way is kernel route, gateway, owner, endpoint. Exits with 1 if the packet does not get to a peer.
    """
    with session.daemon() as daemon:
        answer = daemon.why(target)
    if as_json:
        print_json(answer)
    else:
        for step in answer["steps"]:
            click.echo(clean(step))
    ctx.exit(0 if answer["reachable"] else NO)
