"""What can be wrong with a configuration, in words with a place."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One error in the configuration. `line` counts from 1, 0 = the file as a whole; `what` and `cure` are clauses.
    """

    file: str
    line: int
    key: str
    value: str
    what: str
    cure: str

    @override
    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.value, f"{self.what}; {self.cure}") if part)


class ConfigError(ValueError):
    """
    A configuration that cannot be used: all that is wrong with it, in the order of the lines.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(map(str, self.problems)))
