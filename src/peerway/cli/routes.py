"""`peerway routes`: every prefix, its owner, and who lost it for what reason. Streams, however long it is."""

from __future__ import annotations

import sys
from typing import Any

import click

from peerway.cli.output import table
from peerway.cli.session import Session, interface_argument, json_option, pass_session

HEADERS = ("PREFIX", "ORIGIN", "OWNER", "GATEWAY", "DEV", "TABLE", "PROTO", "METRIC", "NOTES")


@click.command
@interface_argument
@json_option
@pass_session
def command(session: Session, interface: str | None, as_json: bool) -> None:  # noqa: FBT001  click's
    """Show every prefix, its owner, and who lost it and why."""
    with session.daemon() as daemon:
        if as_json:
            for piece in daemon.routes_text(interface):
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()  # whoever reads has it as it comes
            return
        names = {
            peer["public_key"]: peer["name"]
            for found in daemon.status(interface)["interfaces"]
            for peer in found["peers"]
            if peer["name"]
        }
        for line in table(HEADERS, (_row(entry, names) for entry in daemon.routes(interface))):
            click.echo(line)


def _row(entry: dict[str, Any], names: dict[str, str]) -> tuple[object, ...]:
    def named(key: str | None) -> str | None:
        return key and (names.get(key) or key[:8])

    notes = [
        f"{what}: {named(loser['peer'])} ({loser['reason']})"
        for what in ("shadowed", "refused")
        for loser in entry[what]
    ]
    if entry.get("reason"):
        notes.append(entry["reason"])
    return (
        entry["prefix"],
        "learned, aggregated" if entry.get("aggregated") else entry["origin"],
        named(entry["owner"]),
        entry["gateway"],
        entry["interface"],
        entry["table"],
        entry["protocol"],
        entry["metric"],
        "; ".join(notes) or " ",
    )
