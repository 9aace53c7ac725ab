"""The table that ``whycad predict`` writes and ``whycad evaluate`` reads."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from whycad.datasets.source import RowInfo
from whycad.errors import WhyCadError
from whycad.types import Evidence, Prediction

if TYPE_CHECKING:
    from whycad.batch import Outcome

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
SET_SEPARATOR = "|"
REASON_SEPARATOR = " | "


EXTRA_COLUMNS = ("ood", "evidence", "simulated")


def columns(codes: Sequence[str]) -> list[str]:
    """Return the column names that every table of a task with these label codes has.

    After them come ``EXTRA_COLUMNS``: the gate's score, measurements and concepts (expected rating)
    as JSON where they were asked for, and ``simulated data`` where the image or the model's training
    data were simulated.
    """
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
        self._writer.writerow([*columns(codes), *EXTRA_COLUMNS])

    def write(self, row: int, info: RowInfo, outcome: Outcome | WhyCadError) -> None:
        """Write one row: a prediction, or the error that stands in its place."""
        cells = [str(row), inert(info.id), inert(info.group), inert(info.label)]
        if isinstance(outcome, WhyCadError):
            cells += [""] * (len(self._codes) + 6) + [inert(str(outcome)), "", "", ""]
        else:
            gate = outcome.prediction.out_of_distribution
            cells += self._numbers(outcome.prediction)
            cells += ["" if gate is None else _number(gate.score), evidence_json(outcome.evidence)]
            cells.append("simulated data" if outcome.simulated else "")
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


def evidence_json(evidence: Evidence) -> str:
    """Return measurements by name, and the expected rating of each concept, as JSON; empty where there are none."""
    if not evidence.measurements and not evidence.concepts:
        return ""
    body = {
        "measurements": {item.name: float(_number(item.value)) for item in evidence.measurements},
        "concepts": {item.name: float(_number(item.expected)) for item in evidence.concepts},
    }
    return json.dumps(body, sort_keys=True)


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
