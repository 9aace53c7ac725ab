"""What rows of a data set must hold: ``column=value`` or ``column!=value``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whycad.datasets.source import StudySource

YES, NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})


@dataclass(frozen=True)
class Condition:
    """What a column must hold, or must not."""

    column: str
    value: str
    equal: bool

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``column=value`` or ``column!=value``.

        Raises
        ------
        ValueError
            When it is neither.
        """
        name, sign, value = text.partition("=")
        if not sign or not name.rstrip("!").strip():
            raise ValueError("must be column=value or column!=value")
        return cls(name.rstrip("!").strip(), value.strip(), not name.endswith("!"))

    def fits(self, cell: object) -> bool:
        """Tell whether a cell is as wanted."""
        return same_value(cell, self.value) is self.equal

    def holds(self, source: StudySource, row: int) -> bool:
        """Tell whether a row of a data set is as wanted."""
        return self.fits(source.cell(self.column, row))

    def __str__(self) -> str:
        return f"{self.column}{'=' if self.equal else '!='}{self.value}"


def same_value(found: object, wanted: str) -> bool:
    """Tell whether a cell holds what was written; case makes no difference, numbers are compared as numbers.

    Yes, true and 1 are the same, and so are no, false and 0.
    """
    text, other = str(found).strip().casefold(), wanted.strip().casefold()
    if text == other or {text, other} <= YES or {text, other} <= NO:
        return True
    try:
        return float(text) == float(other)
    except ValueError:
        return False
