"""What a plugin's stored figures say: ``performance.json``, written when a model is evaluated.

The file holds ``dataset``, ``n``, ``training_counts`` (code to number of training images),
``per_class`` (code to ``n``, ``sensitivity``, ``interval``), ``subgroups`` (``field``, ``value``,
``per_class``) and ``operating_points``. Ages are subgroups of the field ``age_years`` (or
``age_band``) whose value is a band such as ``40-59``, ``<40`` or ``80+``; both ends belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whycad.errors import ManifestError
from whycad.types import MetadataValue

FILE_NAME = "performance.json"
MAX_BYTES = 4 * 1024 * 1024
MIN_ESTABLISHED = 10
AGE_FIELDS = ("age_years", "age_band", "age")

Fraction = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[Fraction, Fraction]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ClassFigures(_Section):
    """How often cases of one class are found.

    Attributes
    ----------
    n : int
        Cases of the class in the evaluation.
    sensitivity : float or None
        Share that the model labels correctly.
    interval : tuple of float or None
        95 % interval, by bootstrap over groups.
    """

    n: int = Field(ge=0)
    sensitivity: Fraction | None = None
    interval: Interval | None = None

    @property
    def established(self) -> bool:
        """Whether there are enough cases to say anything."""
        return self.sensitivity is not None and self.interval is not None and self.n >= MIN_ESTABLISHED


class Subgroup(_Section):
    """Figures among patients who share one fact."""

    field: str
    value: str
    per_class: dict[str, ClassFigures] = Field(default_factory=dict)

    def holds(self, metadata: Mapping[str, MetadataValue]) -> bool:
        """Whether a case with these facts belongs to this subgroup."""
        if self.field in AGE_FIELDS:
            age = next((metadata[name] for name in AGE_FIELDS if name in metadata), None)
            return isinstance(age, int | float) and in_band(float(age), self.value)
        known = metadata.get(self.field)
        return known is not None and same_level(known, self.value)


class OperatingFigures(_Section):
    """What one binary threshold achieves."""

    threshold: float
    sensitivity: Fraction
    specificity: Fraction
    interval: Interval | None = None


class Performance(_Section):
    """A whole ``performance.json``."""

    dataset: str = ""
    n: int = Field(default=0, ge=0)
    training_counts: dict[str, int] = Field(default_factory=dict)
    per_class: dict[str, ClassFigures] = Field(default_factory=dict)
    subgroups: tuple[Subgroup, ...] = ()
    operating_points: dict[str, OperatingFigures] = Field(default_factory=dict)

    @property
    def training_total(self) -> int:
        """All training images."""
        return sum(self.training_counts.values())

    def subgroups_of(self, metadata: Mapping[str, MetadataValue]) -> tuple[Subgroup, ...]:
        """Return the subgroups that a case belongs to."""
        return tuple(group for group in self.subgroups if group.holds(metadata))


NOTHING = Performance()


def read_performance(folder: Path) -> Performance:
    """Read a plugin's ``performance.json``; empty figures where there is no such file.

    Raises
    ------
    ManifestError
        When the file is there but broken.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return NOTHING
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"plugin {folder.name!r}: {FILE_NAME} is larger than {MAX_BYTES} bytes")
        return Performance.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ManifestError(
            f"plugin {folder.name!r}: {FILE_NAME} cannot be read ({type(error).__name__})",
            remedy="evaluate the model again",
        ) from error


def in_band(value: float, band: str) -> bool:
    """Tell whether a number lies in a band: ``<40``, ``40-59`` (whole years), ``0.1 to <0.4`` or ``60+``."""
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", band)]
    if len(numbers) == 2:
        # Ages are whole years, so that 59.5 still belongs to 40-59.
        return numbers[0] <= value < (numbers[1] if "to <" in band else numbers[1] + 1)
    if len(numbers) == 1 and band.strip().startswith(("<", "under")):
        return value < numbers[0]
    return len(numbers) == 1 and value >= numbers[0]


def same_level(value: MetadataValue, level: str) -> bool:
    """Tell whether a value is the one that a level names, whatever its case and spaces; ``F`` is ``female``."""
    return _plain(str(value)) == _plain(level)


_SEXES = {"f": "female", "m": "male"}


def _plain(text: str) -> str:
    folded = re.sub(r"[\s_-]+", " ", text).strip().casefold()
    return _SEXES.get(folded, folded)
