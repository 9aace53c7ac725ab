"""The table that ``whycad predict`` writes and ``whycad evaluate`` reads."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from typing import IO

from whycad.datasets.source import RowInfo
from whycad.errors import WhyCadError
from whycad.types import Prediction

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
SET_SEPARATOR = "|"
REASON_SEPARATOR = " | "


def columns(codes: Sequence[str]) -> list[str]:
    """Return the column names for a task with these label codes."""
    before = ["row", "id", "group", "label", "pred"]
    after = ["set", "decision", "reasons", "epistemic", "aleatoric", "error"]
    return [*before, *(f"p_{code}" for code in codes), *after]


def inert(text: str) -> str:
    """Return a cell's text such that no spreadsheet takes it for a formula, on one line."""
    line = re.sub(r"[\r\n\x00]+", " ", text).strip()
    return f"'{line}" if line.startswith(FORMULA_STARTS) else line


class PredictionTable:
    """Writes predictions row by row.

    Parameters
    ----------
    stream : text file
        Opened with ``newline=""``.
    codes : sequence of str
        Label codes, in the manifest's order.
    """

    def __init__(self, stream: IO[str], codes: Sequence[str]) -> None:
        self._writer = csv.writer(stream)
        self._codes = tuple(codes)
        self._writer.writerow(columns(codes))

    def write(self, row: int, info: RowInfo, outcome: Prediction | WhyCadError) -> None:
        """Write one row: a prediction, or the error that stands in its place."""
        cells = [str(row), inert(info.id), inert(info.group), inert(info.label)]
        if isinstance(outcome, WhyCadError):
            cells += [""] * (len(self._codes) + 6) + [inert(str(outcome))]
        else:
            cells += self._numbers(outcome)
        self._writer.writerow(cells)

    def _numbers(self, prediction: Prediction) -> list[str]:
        return [
            prediction.predicted,
            *(_number(float(p)) for p in prediction.probabilities),
            SET_SEPARATOR.join(prediction.conformal_set),
            prediction.decision.kind.value,
            inert(REASON_SEPARATOR.join(prediction.decision.reasons)),
            _number(prediction.uncertainty.epistemic),
            _number(prediction.uncertainty.aleatoric),
            "",
        ]


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
