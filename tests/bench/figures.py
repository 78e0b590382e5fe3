"""Figures of interleaved rounds: medians, percentiles, and ratios to the floor of the same round, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """
    One thing that was measured: a value of each side for each round, in one unit. Without a floor there is no ratio.
    """

    what: str
    unit: str
    floor: Sequence[float]
    ours: Sequence[float]
    limit: str = ""
    size: int = 0  # of the table, where it is the question
    compared: bool = True  # whether a ratio says anything

    @property
    def ratio(self) -> float | None:
        """
        The median over the rounds of each round's own ratio; None without a floor, or where it says nothing.
        """
        if not self.compared or not self.floor or not all(self.floor):
            return None
        return median(own / base for own, base in zip(self.ours, self.floor, strict=True))

    def cells(self) -> tuple[str, ...]:
        """
        What, the medians of floor and peerway, the ratio, and what the ratio should be at most.
        """
        floor, ours = (_number(median(values)) if values else "" for values in (self.floor, self.ours))
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return self.what, self.unit, floor, ours, ratio, self.limit


TITLES: Final = ("what", "unit", "floor", "peerway", "ratio", "wanted")
WIDTHS: Final = (70, 6, 9, 9, 7, 14)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def line(cells: Sequence[str]) -> str:
    """A line of the plain table."""
    first, *others = zip(cells, WIDTHS, strict=True)
    return (first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in others)).rstrip()


def markdown(rows: Sequence[Row]) -> str:
    """The table for a page."""
    lines = [TITLES, ("---", "---", "---:", "---:", "---:", "---"), *(row.cells() for row in rows)]
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
