"""`peerway reload`: read the configuration again."""

from __future__ import annotations

import click

from peerway.cli.session import Session, pass_session


@click.command
@pass_session
def command(session: Session) -> None:
    """Read the configuration again.

    A file with errors changes nothing, and the errors are told.
    """
    with session.daemon() as daemon:
        daemon.reload()
