"""`peerway addresses`: derived addresses, without a daemon."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click


@click.command
@click.option(
    "-p",
    "--prefix",
    "prefixes",
    metavar="PREFIX",
    multiple=True,
    default=["fe80::/64"],
    show_default=True,
    help="The prefix below which the address lies; may be given several times.",
)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
def command(prefixes: tuple[str, ...], keys: tuple[str, ...]) -> None:
    """Print the addresses derived from public keys, one a line.

    A KEY of - reads keys from standard input.
    """
    from peerway.model import prefix as px  # noqa: PLC0415  only this verb needs libsodium
    from peerway.model.derive import derived_address  # noqa: PLC0415  as above
    from peerway.model.keys import PublicKey  # noqa: PLC0415  as above

    try:
        below = [px.parse(text, strict=True) for text in prefixes]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="PREFIX") from None
    for prefix, text in zip(below, prefixes, strict=True):
        if px.is_host(prefix):
            raise click.BadParameter(f"{text!r} leaves no room for an address below it", param_hint="PREFIX")
    for number, text in enumerate(_texts(keys), 1):
        try:
            key = PublicKey.parse(text)
        except ValueError as error:
            raise click.BadParameter(f"number {number}: {error}", param_hint="KEY") from None
        for prefix in below:
            click.echo(px.address_text(derived_address(prefix, key)))


def _texts(keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        if key == "-":
            yield from sys.stdin.read().split()
        else:
            yield key
