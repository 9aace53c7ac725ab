"""Predictions of many cases as arrays, kept in one file so that figures can be made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.errors import DatasetError, StoreError, WhyCadError
from whycad.types import Prediction

FloatArray = NDArray[np.float64]
UNKNOWN = -1
FAILED = "failed"


@dataclass(frozen=True)
class LabelledCase:
    """One image's outcome beside what is known of it.

    Attributes
    ----------
    outcome : Prediction or WhyCadError
    label : str
        The task's code; empty where unknown.
    group : str
        Patient or lesion.
    """

    outcome: Prediction | WhyCadError
    label: str
    group: str


@dataclass(frozen=True, eq=False)
class CaseTable:
    """n cases, in order; numbers are NaN where an image never reached the model.

    Attributes
    ----------
    codes : ndarray of str (k,)
        Label codes.
    members : ndarray (m, n, k)
        Calibrated probabilities.
    conformal_p : ndarray (n, k)
    gate_score : ndarray (n,)
        Infinite where the image was refused before it reached the model.
    label, predicted : ndarray of int64 (n,)
        Index into ``codes``; -1 where unknown or not scored.
    decision : ndarray of str (n,)
        ``report``, ``refer``, ``reject`` or ``failed``.
    group : ndarray of str (n,)
    """

    codes: NDArray[np.str_]
    members: FloatArray
    conformal_p: FloatArray
    gate_score: FloatArray
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    decision: NDArray[np.str_]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def probabilities(self) -> FloatArray:
        """The ensemble's, ``(n, k)``."""
        return np.asarray(self.members.mean(axis=0))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether each image reached the model, ``(n,)``."""
        return np.asarray(self.predicted != UNKNOWN)

    def select(self, keep: NDArray[np.bool_]) -> CaseTable:
        """Return the cases where ``keep`` ``(n,)`` is True."""
        return CaseTable(
            self.codes,
            self.members[:, keep],
            self.conformal_p[keep],
            self.gate_score[keep],
            self.label[keep],
            self.predicted[keep],
            self.decision[keep],
            self.group[keep],
        )


def collect(cases: Iterable[LabelledCase], codes: tuple[str, ...]) -> CaseTable:
    """Turn outcomes into arrays.

    Raises
    ------
    DatasetError
        When there is no case at all.
    """
    rows = list(cases)
    if not rows:
        raise DatasetError("there are no cases to measure")
    found = [case.outcome for case in rows if isinstance(case.outcome, Prediction) and case.outcome.predicted]
    n_members = max((len(prediction.member_probabilities) for prediction in found), default=1)
    nothing = np.full((n_members, len(codes)), np.nan)
    scored = [case.outcome if isinstance(case.outcome, Prediction) else None for case in rows]
    index = {code: i for i, code in enumerate(codes)}
    return CaseTable(
        codes=np.array(codes),
        members=np.stack([p.member_probabilities if p and p.predicted else nothing for p in scored], axis=1),
        conformal_p=np.stack([p.conformal_p if p and p.predicted else nothing[0] for p in scored]),
        gate_score=np.array([_gate_score(p) for p in scored]),
        label=np.array([index.get(case.label, UNKNOWN) for case in rows]),
        predicted=np.array([index.get(p.predicted, UNKNOWN) if p else UNKNOWN for p in scored]),
        decision=np.array([p.decision.kind.value if p else FAILED for p in scored]),
        group=np.array([case.group for case in rows]),
    )


def _gate_score(prediction: Prediction | None) -> float:
    if prediction is None or not prediction.predicted:
        return float("inf")
    gate = prediction.out_of_distribution
    return float("nan") if gate is None else gate.score


def save_table(table: CaseTable, path: Path) -> None:
    """Write a table whole or not at all.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(partial, **{field.name: getattr(table, field.name) for field in fields(CaseTable)})
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"{path.name!r} cannot be written ({type(error).__name__})") from error
    finally:
        partial.unlink(missing_ok=True)


def load_table(path: Path) -> CaseTable:
    """Read a table.

    Raises
    ------
    DatasetError
        When the file is broken.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return CaseTable(**{field.name: stored[field.name] for field in fields(CaseTable)})
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"stored cases {path.name!r} cannot be read ({type(error).__name__})", remedy="delete the file"
        ) from error


def facts_digest(facts: dict[str, str]) -> str:
    """Return a short hash of what a table depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
