"""`peerway sync`: look again now."""

from __future__ import annotations

import click

from peerway.cli.session import Session, interface_argument, pass_session


@click.command
@interface_argument
@pass_session
def command(session: Session, interface: str | None) -> None:
    """Look again now, and return when all is applied."""
    with session.daemon() as daemon:
        daemon.sync(interface)
