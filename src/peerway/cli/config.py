"""`peerway config`: check a file, print the schema, show what is in effect."""

from __future__ import annotations

import json
from pathlib import Path

import click

from peerway.cli.session import USAGE

_FILE = click.Path(path_type=Path)


@click.group("config")
def command() -> None:
    """Check the configuration, or show it with all defaults."""


@command.command("check")
@click.argument("file", required=False, type=_FILE)
@click.pass_context
def check(ctx: click.Context, file: Path | None) -> None:
    """Tell all errors of a configuration file; exits with 2 if there are some."""
    from peerway.config import load  # noqa: PLC0415  pydantic takes its time
    from peerway.config_errors import ConfigError  # noqa: PLC0415  as above
    from peerway.settings import DEFAULT_FILE  # noqa: PLC0415  as above

    try:
        load(file)
    except ConfigError as error:
        click.echo(str(error), err=True)
        ctx.exit(USAGE)
    click.echo(f"{file or DEFAULT_FILE}: no errors" if file or DEFAULT_FILE.exists() else "no file: the defaults hold")


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of the configuration file."""
    from peerway import config_reference  # noqa: PLC0415  pydantic takes its time

    click.echo(json.dumps(config_reference.schema(), indent=2))


@command.command("show")
@click.option("-c", "--config", "file", type=_FILE, help="The file. Default: /etc/peerway/peerway.yaml.")
@click.argument("interface", metavar="[IFACE]", required=False)
@click.pass_context
def show(ctx: click.Context, file: Path | None, interface: str | None) -> None:
    """Print the configuration with its defaults as YAML, or what is in effect for one interface."""
    from peerway import config_reference  # noqa: PLC0415  pydantic takes its time
    from peerway.backends.names import Names  # noqa: PLC0415  as above
    from peerway.config import load  # noqa: PLC0415  as above
    from peerway.config_errors import ConfigError  # noqa: PLC0415  as above

    names = Names.read()
    try:
        config = load(file, names)
    except ConfigError as error:
        click.echo(str(error), err=True)
        ctx.exit(USAGE)
    click.echo(config_reference.show(config, names, interface), nl=False)
