"""Figures of interleaved rounds: percentiles, medians, and ratios to the floor of the same round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

Rounds = Mapping[str, Sequence[Sequence[int]]]
"""Nanoseconds of each contestant, by round. The first contestant is the floor."""


def percentile(values: Sequence[int], share: float) -> int:
    """The value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def lines(rounds: Rounds, shares: Mapping[str, float], unit: tuple[str, int]) -> Iterator[str]:
    """
    A table with a row for each contestant: for each share its value over all rounds, and its ratio to the floor, the
    median over the rounds of each round's own ratio.
    """
    floor = next(iter(rounds.values()))
    name, size = unit
    width = max(map(len, rounds))
    yield " " * width + "".join(f"  {title + ' ' + name:>12}  {'ratio':>6}" for title in shares)
    for contestant, values in rounds.items():
        cells = ""
        for share in shares.values():
            whole = percentile([value for each in values for value in each], share)
            ratio = median(
                percentile(own, share) / percentile(base, share) for own, base in zip(values, floor, strict=True)
            )
            cells += f"  {whole / size:12.1f}  {ratio:6.2f}"
        yield contestant.ljust(width) + cells
