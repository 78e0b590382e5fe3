"""`peerway verify`: do kernel, WireGuard and ledger agree?"""

from __future__ import annotations

import click

from peerway.cli.output import clean, print_json
from peerway.cli.session import NO, Session, interface_argument, json_option, pass_session


@click.command
@interface_argument
@json_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, interface: str | None, as_json: bool) -> None:  # noqa: FBT001  click's
    """Compare kernel, WireGuard and ledger, all read anew.

    Exits with 0 if they agree, and with 1 after a list of the differences.
    """
    with session.daemon() as daemon:
        drift = daemon.verify(interface)
    if as_json:
        print_json({"version": 1, "differences": drift.differences, "checked": drift.checked})
    elif drift.differences:
        for difference in drift.differences:
            click.echo(clean(difference))
    else:
        click.echo(f"Kernel, WireGuard and ledger agree ({drift.checked} prefixes).")
    ctx.exit(NO if drift.differences else 0)
