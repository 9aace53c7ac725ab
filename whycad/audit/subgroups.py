"""Subgroups of cases by what is known of the patient: age band, sex, body site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.types import MetadataValue

AGE_FIELD = "age_years"
AGE_EDGES = (40, 60)
SEXES = {"f": "female", "m": "male"}


def age_band(age_years: float) -> str:
    """Return the band of an age: ``<40``, ``40-59`` or ``60+``."""
    low, high = AGE_EDGES
    if age_years < low:
        return f"<{low}"
    return f"{low}-{high - 1}" if age_years < high else f"{high}+"


def subgroup_value(field: str, value: MetadataValue) -> str:
    """Return the name of the subgroup that a fact puts a case into."""
    if field == AGE_FIELD and isinstance(value, int | float):
        return age_band(value)
    text = str(value).strip().casefold()
    return SEXES.get(text, text) if field == "sex" else text


def subgroup_masks(
    metadata: Sequence[Mapping[str, MetadataValue]],
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield field, value and members ``(n,)`` of every subgroup, fields in order of appearance."""
    fields = dict.fromkeys(name for facts in metadata for name in facts)
    for name in fields:
        values = [subgroup_value(name, facts[name]) if name in facts else None for facts in metadata]
        for value in sorted({value for value in values if value is not None}):
            yield name, value, np.array([other == value for other in values])
