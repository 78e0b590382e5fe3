"""`peerway route add|del`: kernel routes that name a peer instead of its address, in the words of ip-route(8)."""

from __future__ import annotations

from typing import Any, Final

import click

from peerway.cli.session import Session, pass_session
from peerway.control.api import RouteRequest

_WORDS: Final = {"via-peer": "peer", "dev": "interface", "metric": "metric", "table": "table"}
_USAGE: Final = "PREFIX via-peer PEER [dev IFACE] [metric N] [table T]"


@click.group("route")
def command() -> None:
    """Add or delete a kernel route through a peer."""


@command.command("add")
@click.argument("words", metavar=_USAGE, nargs=-1, type=click.UNPROCESSED)
@pass_session
def add(session: Session, words: tuple[str, ...]) -> None:
    """Add a route through a peer, for example `peerway route add 10.0.0.0/8 via-peer berlin`.

    The words after PREFIX come in any order. PEER is a name from the configuration, or the beginning of a public key.
    """
    request = parse(words)
    with session.daemon() as daemon:
        click.echo(daemon.add_route(request)["route"])


@command.command("del")
@click.argument("words", metavar=_USAGE, nargs=-1, type=click.UNPROCESSED)
@pass_session
def delete(session: Session, words: tuple[str, ...]) -> None:
    """Delete a route through a peer, named as for `add`."""
    request = parse(words)
    with session.daemon() as daemon:
        click.echo(daemon.delete_route(request)["route"])


def parse(words: tuple[str, ...]) -> RouteRequest:
    """
    The request in these words. Raises click.UsageError.
    """
    from peerway.model import prefix as px  # noqa: PLC0415  only these verbs need it

    given: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        key = _WORDS.get(word, "prefix")
        if key in given:
            raise click.UsageError(f"{word!r}: {'a second ' + key if key == 'prefix' else word + ' twice'}; {_USAGE}")
        given[key] = word if key == "prefix" else next(rest, None)
        if given[key] is None:
            raise click.UsageError(f"nothing after {word!r}; {_USAGE}")
    if missing := {"prefix": "PREFIX", "peer": "via-peer PEER"}.keys() - given.keys():
        raise click.UsageError(f"no {' and no '.join(sorted(missing))} given; {_USAGE}")
    try:
        given["prefix"] = px.text(px.parse(given["prefix"], strict=True))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if "metric" in given:
        if not (given["metric"].isascii() and given["metric"].isdecimal() and int(given["metric"]) < 1 << 32):
            raise click.UsageError(f"metric {given['metric']!r} is not a number from 0 to {(1 << 32) - 1}")
        given["metric"] = int(given["metric"])
    return RouteRequest(**given)
