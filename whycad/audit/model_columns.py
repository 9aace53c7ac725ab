"""Metadata as subgroups: the levels of every column, binned where it is a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import UNKNOWN, MetadataColumn
from whycad.audit.subgroups import AGE_EDGES

BoolArray = NDArray[np.bool_]
# More levels than this are most often names or numbers that identify, not groups of patients.
MOST_LEVELS = 12
# Thirds leave enough cases per bin in sets of a few hundred and still show a trend.
QUANTILES = (1 / 3, 2 / 3)
PRESENT, ABSENT = "yes", "no"


@dataclass(frozen=True, eq=False)
class Level:
    """Cases that share one value, or one range, of a column.

    Attributes
    ----------
    column, name : str
        Such as ``site`` and ``face``.
    artefact : bool
        Whether the column says that an artefact is in the image.
    inside : ndarray of bool (n,)
    known : ndarray of bool (n,)
        Where the column has a value.
    """

    column: str
    name: str
    artefact: bool
    inside: BoolArray
    known: BoolArray

    @property
    def n(self) -> int:
        """Cases inside."""
        return int(self.inside.sum())

    @property
    def rest(self) -> BoolArray:
        """The cases with another value, ``(n,)``."""
        return np.asarray(self.known & ~self.inside)

    @property
    def words(self) -> str:
        """What the cases are, after "images": ``with ruler``, ``with site face``."""
        plain = self.column.replace("_", " ")
        if self.name == PRESENT:
            return f"with {plain}"
        return f"without {plain}" if self.name == ABSENT else f"with {plain} {self.name}"


def levels_of(columns: Sequence[MetadataColumn], least_n: int = 1) -> tuple[Level, ...]:
    """Return the levels of all columns that hold at least ``least_n`` cases and are not all there is.

    Parameters
    ----------
    columns : sequence of MetadataColumn
    least_n : int
    """
    found = [level for column in columns for level in column_levels(column)]
    return tuple(level for level in found if level.n >= least_n and level.rest.any())


def contrasts_of(columns: Sequence[MetadataColumn], least_n: int = 1) -> tuple[Level, ...]:
    """Return the levels to be held against the rest of their column, each comparison once.

    Of a column with two levels only one is kept: ``yes`` of a flag, else the less common one. Level
    and rest both hold at least ``least_n`` cases.
    """
    found: list[Level] = []
    for column in columns:
        levels = column_levels(column)
        if len(levels) == 2:
            levels = sorted(levels, key=lambda level: (level.name != PRESENT, level.n))[:1]
        found += [level for level in levels if min(level.n, int(level.rest.sum())) >= max(least_n, 1)]
    return tuple(found)


def column_levels(column: MetadataColumn) -> list[Level]:
    """Return a column's levels in order, the most common ``MOST_LEVELS`` where there are more."""
    names, codes = _coded(column)
    known = codes >= 0
    counts = np.bincount(codes[known], minlength=len(names))
    common = set(np.argsort(-counts, kind="stable")[:MOST_LEVELS].tolist())
    return [
        Level(column.name, name, column.role == "artefact", codes == index, known)
        for index, name in enumerate(names)
        if index in common and counts[index]
    ]


def _coded(column: MetadataColumn) -> tuple[list[str], NDArray[np.int64]]:
    """Return names of levels, and each row's index into them, -1 where unknown."""
    if column.kind == "category":
        names = sorted(set(column.values.tolist()) - {UNKNOWN})
        index = {name: i for i, name in enumerate(names)}
        return [str(name) for name in names], np.array([index.get(v, -1) for v in column.values.tolist()], np.int64)
    values = column.values.astype(np.float64)
    known = np.isfinite(values)
    if column.name.casefold().startswith("age"):
        low, high = AGE_EDGES
        edges, names = np.array(AGE_EDGES, np.float64), [f"<{low}", f"{low}-{high - 1}", f"{high}+"]
    else:
        edges = np.unique(np.quantile(values[known], QUANTILES)) if known.any() else np.array([])
        names = _range_names(edges)
    codes = np.searchsorted(edges, values, side="right")
    return names, np.where(known, codes, -1).astype(np.int64)


def _range_names(edges: NDArray[np.float64]) -> list[str]:
    texts = [f"{edge:.4g}" for edge in edges]
    if not texts:
        return ["all"]
    return [
        f"<{texts[0]}",
        *(f"{low} to <{high}" for low, high in pairwise(texts)),
        f"{texts[-1]}+",
    ]
