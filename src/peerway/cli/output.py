"""How answers look: aligned columns, ages, sizes, and nothing that could steer a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

import click

FIRST_ROWS: Final = 200  # that the widths of columns are taken from; the rest of a long table streams
_GAP: Final = "  "
_ORIGINS: Final = {"learned": "green", "pinned": "cyan", "derived": "blue", "refused": "red", "unresolved": "yellow"}
_STATES: Final = {"in-sync": "green", "syncing": "yellow", "degraded": "red"}
_COLOURS: Final = _ORIGINS | _STATES


def clean(value: object) -> str:
    """
    A value as text in which each character prints; nothing is shown as `-`.
    """
    if value is None or value == "":
        return "-"
    text = str(value)
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def styled(text: str) -> str:
    """
    A state or an origin in its colour; other text as it is. Colours only reach a terminal (click.echo).
    """
    colour = _COLOURS.get(text.strip())
    return click.style(text, fg=colour) if colour else text


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], indent: str = "") -> Iterator[str]:
    """
    Lines of aligned columns. The first rows set the widths; later ones follow as they come.
    """
    stream = ([clean(cell) for cell in row] for row in rows)
    first = list(islice(stream, FIRST_ROWS))
    widths = [max(len(line[column]) for line in (list(headers), *first)) for column in range(len(headers))]
    yield indent + click.style(_line(headers, widths), bold=True)
    for row in chain(first, stream):
        yield indent + _line(row, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *padded, last = cells
    parts = [styled(cell.ljust(width)) for cell, width in zip(padded, widths, strict=False)]
    return _GAP.join([*parts, styled(last)]).rstrip()


def age(timestamp: str | None, now: datetime | None = None) -> str:
    """
    How long ago an RFC 3339 time was: `12s`, `3m 5s`, `2h 10m`, `4d 2h`; `never` for None.
    """
    if timestamp is None:
        return "never"
    seconds = max(0, int(((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {seconds % 60}s" if minutes else f"{seconds}s"


def size(count: int) -> str:
    """
    Bytes as wg(8) prints them: `17 B`, `2.00 KiB`.
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{count} B" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def print_json(data: Any) -> None:
    """
    One JSON document, readable by people too.
    """
    click.echo(json.dumps(data, indent=2))
