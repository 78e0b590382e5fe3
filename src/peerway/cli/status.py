"""`peerway status`: interfaces, peers, counts, health."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from peerway.cli.output import age, clean, print_json, size, styled, table
from peerway.cli.session import Session, interface_argument, json_option, pass_session

HEADERS = ("PEER", "KEY", "GATEWAYS", "ENDPOINT", "HANDSHAKE", "RECEIVED", "SENT")


@click.command
@interface_argument
@click.argument("peer", metavar="[PEER]", required=False)
@json_option
@pass_session
def command(session: Session, interface: str | None, peer: str | None, as_json: bool) -> None:  # noqa: FBT001  click's
    """Show interfaces, peers, counts, health and last errors.

    PEER is a name from the configuration, or the beginning of a public key.
    """
    with session.daemon() as daemon:
        answer = daemon.status(interface, peer)
    if as_json:
        print_json(answer)
        return
    for line in _lines(answer["interfaces"]):
        click.echo(line)


def _lines(interfaces: list[dict[str, Any]]) -> Iterator[str]:
    if not interfaces:
        yield "There is no WireGuard interface."
    for number, found in enumerate(interfaces):
        if number:
            yield ""
        counts = ", ".join(f"{count} {what}" for what, count in found["counts"].items())
        yield f"{click.style(clean(found['name']), bold=True)} ({found['backend']}): {styled(found['state'])}"
        yield f"  public key: {clean(found['public_key'])}"
        yield f"  prefixes: {counts}"
        for error in found.get("errors", ()):
            yield click.style(f"  error: {clean(error)}", fg="red")
        for peer in found["peers"]:
            if failed := peer.get("failed"):
                told = f"{failed['prefixes']} prefixes, {failed['error']}; again in {failed['retry_in']:.0f} s"
                yield click.style(
                    f"  failed at {clean(peer['name'] or peer['public_key'][:8])}: {clean(told)}", fg="red"
                )
        if found["peers"]:
            yield from table(HEADERS, map(_row, found["peers"]), "  ")


def _row(peer: dict[str, Any]) -> tuple[object, ...]:
    return (
        peer["name"],
        peer["public_key"][:8],
        " ".join(peer["gateways"]),
        peer["endpoint"],
        age(peer["latest_handshake"]),
        size(peer["rx_bytes"]),
        size(peer["tx_bytes"]),
    )
