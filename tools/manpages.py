"""Manual pages from the click commands, so that they say what `--help` says: tools/docs.py writes them to docs/man."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from peerway import __version__
from peerway.cli.main import cli

EXIT_STATUS = (
    ("0", "Done."),
    ("1", "The answer is no: drift, an unknown prefix, a packet that ends before it leaves."),
    ("2", "Wrong usage or configuration."),
    ("3", "No daemon answers."),
    ("4", "No privilege."),
)
FILES = (
    ("/etc/peerway/peerway.yaml", "The configuration. It may be missing."),
    ("/run/peerway/control.sock", "The daemon's control socket."),
)


def pages() -> dict[str, str]:
    """Each page's text, by file name."""
    return {f"{name}.1": page(name, command, ctx) for name, command, ctx in commands("peerway", cli, None)}


def commands(
    name: str, command: click.Command, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """A command and all below it, each with the name of its page."""
    ctx = click.Context(command, parent, info_name=command.name if parent else name, **command.context_settings)
    yield name, command, ctx
    if isinstance(command, click.Group):
        for verb in command.list_commands(ctx):
            found = command.get_command(ctx, verb)
            if found is not None:
                found.name = verb
                yield from commands(f"{name}-{verb}", found, ctx)


def page(name: str, command: click.Command, ctx: click.Context) -> str:
    """One page in the man(7) macros."""
    words = re.sub(r"\n(?!\n)", " ", command.help or "").split("\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in words if paragraph.strip()]
    summary = paragraphs[0].rstrip(".")
    lines = [
        f'.TH {name.upper().replace("-", chr(92) + "-")} 1 "" "peerway {__version__}" "peerway manual"',
        ".SH NAME",
        f"{plain(name)} \\- {plain(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {plain(ctx.command_path)}",
        plain(" ".join(command.collect_usage_pieces(ctx))),
        ".SH DESCRIPTION",
        *(line for paragraph in paragraphs for line in (".PP", plain(paragraph))),
    ]
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    records = [record for option in options if (record := option.get_help_record(ctx))]
    lines += [".SH OPTIONS", *terms(records)] if records else []
    if isinstance(command, click.Group):
        found = ((verb, command.get_command(ctx, verb)) for verb in command.list_commands(ctx))
        below = [(f"{name}-{verb}(1)", one.get_short_help_str(100)) for verb, one in found if one is not None]
        lines += [".SH COMMANDS", *terms(below)]
    lines += [".SH EXIT STATUS", *terms(EXIT_STATUS), ".SH FILES", *terms(FILES)]
    lines += [] if ctx.parent is None else [".SH SEE ALSO", plain("peerway(1)")]
    return "\n".join(lines) + "\n"


def terms(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Tagged paragraphs."""
    for term, text in pairs:
        yield from (".TP", f".B {plain(term)}", plain(" ".join(text.split())))


def plain(text: str) -> str:
    """Text that roff prints as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
