"""Read the table that ``whycad predict`` writes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.errors import DatasetError
from whycad.predictions_csv import SET_SEPARATOR, columns

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions that have numbers, and how many rows have none.

    Attributes
    ----------
    codes : tuple of str
        Label codes; k of them.
    row : ndarray of int64 (n,)
        Row number in the data set.
    group : ndarray of str (n,)
    label, predicted : ndarray of int64 (n,)
        Index into ``codes``, -1 where unknown.
    probabilities : ndarray of float64 (n, k)
    in_set : ndarray of bool (n, k)
    decision : ndarray of str (n,)
        ``report``, ``refer`` or ``reject``.
    epistemic, aleatoric : ndarray of float64 (n,)
    n_failed : int
        Rows with an error.
    n_unscored : int
        Rows that were declined before they reached the model.
    """

    codes: tuple[str, ...]
    row: NDArray[np.int64]
    group: NDArray[np.str_]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    in_set: NDArray[np.bool_]
    decision: NDArray[np.str_]
    epistemic: NDArray[np.float64]
    aleatoric: NDArray[np.float64]
    n_failed: int = 0
    n_unscored: int = 0

    def __len__(self) -> int:
        return len(self.row)

    def select(self, keep: NDArray[np.bool_]) -> Predictions:
        """Return the rows where ``keep`` ``(n,)`` is True."""
        return Predictions(
            self.codes,
            self.row[keep],
            self.group[keep],
            self.label[keep],
            self.predicted[keep],
            self.probabilities[keep],
            self.in_set[keep],
            self.decision[keep],
            self.epistemic[keep],
            self.aleatoric[keep],
            self.n_failed,
            self.n_unscored,
        )


def read_predictions(path: Path, codes: Sequence[str]) -> Predictions:
    """Read a table of predictions for a task with these label codes.

    Raises
    ------
    DatasetError
        When the file is missing, is no such table, or is for other labels.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in columns(codes) if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(
                    f"{path.name!r} is no table of predictions for this task: it lacks {', '.join(missing[:5])}",
                    remedy="write it with `whycad predict` for the same task",
                )
            rows = list(reader)
        scored = [row for row in rows if not row["error"] and row["pred"]]
        n_failed = sum(bool(row["error"]) for row in rows)
        return _table(scored, tuple(codes), n_failed, len(rows) - len(scored) - n_failed)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name!r} cannot be read ({type(error).__name__})") from error
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path.name!r} holds a cell that is not what its column promises") from error


def _table(rows: list[dict[str, str]], codes: tuple[str, ...], n_failed: int, n_unscored: int) -> Predictions:
    def index(code: str) -> int:
        return codes.index(code) if code in codes else UNKNOWN

    probabilities = np.array([[float(row[f"p_{code}"]) for code in codes] for row in rows]).reshape(-1, len(codes))
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all() and (probabilities <= 1).all()):
        raise ValueError("a probability is not in 0..1")
    sets = [row["set"].split(SET_SEPARATOR) for row in rows]
    return Predictions(
        codes=codes,
        row=np.array([int(row["row"]) for row in rows], np.int64),
        group=np.array([row["group"] or f"row-{row['row']}" for row in rows], np.str_),
        label=np.array([index(row["label"]) for row in rows], np.int64),
        predicted=np.array([index(row["pred"]) for row in rows], np.int64),
        probabilities=probabilities,
        in_set=np.array([[code in members for code in codes] for members in sets], bool).reshape(-1, len(codes)),
        decision=np.array([row["decision"] for row in rows], np.str_),
        epistemic=np.array([float(row["epistemic"]) for row in rows], np.float64),
        aleatoric=np.array([float(row["aleatoric"]) for row in rows], np.float64),
        n_failed=n_failed,
        n_unscored=n_unscored,
    )
