"""What a check is given: the rows, their images' facts, and the model's answers where there is a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import GroupBootstrap
from whycad.audit.data.cases import UNKNOWN, AuditCases
from whycad.audit.data.facts import COLUMNS, FactsJob, ImageFacts, facts_from
from whycad.audit.data_words import shown
from whycad.audit.run.engine import BatchJob, Chunks, EngineOptions, map_batches
from whycad.audit.run.predicting import PredictJob
from whycad.audit.words import within_sentence

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.data.dataset import AuditDataset, DatasetRef
    from whycad.manifest import Manifest
    from whycad.plugin import Plugin
    from whycad.uncertainty.calibration import Calibration

# Features of 20,000 cases of an ensemble with 2,560.
MOST_IN_MEMORY = 200 * 2**20
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AuditOptions:
    """What holds for all checks.

    Attributes
    ----------
    seed : int
    n_draws : int
        Bootstrap draws.
    n_perturbed : int
        Most cases whose images are changed and predicted again, per check.
    n_explained : int
        Most cases whose maps are made.
    least_n : int
        Below this many cases (or groups) a figure is not established.
    purpose : str
        Why the split is evaluated, for the ledger.
    """

    seed: int = 0
    n_draws: int = 1000
    n_perturbed: int = 200
    n_explained: int = 60
    least_n: int = 30
    purpose: str = "audit"


@dataclass(frozen=True, eq=False)
class ModelAnswers:
    """A task's answers to n rows of ``AuditContext.scope``, in that order.

    Attributes
    ----------
    codes : tuple of str (k,)
        Label codes, in the manifest's order.
    members : ndarray (m, n, k)
        Calibrated probabilities; NaN where nothing reached the model.
    predicted, label : ndarray of int64 (n,)
        Index into ``codes``; -1 where unknown.
    decision : ndarray of str (n,)
        ``report``, ``refer``, ``reject`` or ``failed``.
    conformal_p : ndarray (n, k)
    gate : ndarray (n,)
        Larger is stranger; infinite where refused before the model, NaN where there is no gate.
    parts : ndarray (3, n)
        Total, aleatoric and epistemic uncertainty, nats.
    error : ndarray of str (n,)
    """

    codes: tuple[str, ...]
    members: FloatArray
    predicted: NDArray[np.int64]
    label: NDArray[np.int64]
    decision: NDArray[np.str_]
    conformal_p: FloatArray
    gate: FloatArray
    parts: FloatArray
    error: NDArray[np.str_]
    simulated: bool

    @cached_property
    def probabilities(self) -> FloatArray:
        """The ensemble's, ``(n, k)``."""
        return np.asarray(self.members.mean(axis=0))

    @cached_property
    def scored(self) -> BoolArray:
        """Whether each row has probabilities, ``(n,)``."""
        return np.asarray(self.predicted >= 0)

    @cached_property
    def judged(self) -> BoolArray:
        """Whether each row has probabilities and a known label, ``(n,)``: what performance is measured on."""
        return np.asarray(self.scored & (self.label >= 0))


@dataclass(frozen=True, eq=False)
class AuditContext:
    """Everything that checks start from.

    Attributes
    ----------
    ref : DatasetRef
    dataset : AuditDataset
    scope : ndarray of int64 (n,)
        Rows that checks of the model look at: those of the split. Data checks look at all rows.
    options : AuditOptions
    engine : EngineOptions
    out : Path
        The audit's folder; pictures go below ``out / "pictures" / check``.
    plugin : Plugin or None
    device : str
    split : str
        Name of the split that ``scope`` holds; empty where it holds all rows.
    command : str
        That started the audit, for the record.
    """

    ref: DatasetRef
    dataset: AuditDataset
    scope: NDArray[np.int64]
    options: AuditOptions
    engine: EngineOptions
    out: Path
    plugin: Plugin | None = None
    device: str = ""
    split: str = ""
    command: str = ""
    shared: dict[str, object] = field(default_factory=dict)

    @cached_property
    def cases(self) -> AuditCases:
        """All rows of the data set, without columns that the task says tell the label by right."""
        return self.dataset.cases.without(() if self.plugin is None else self.manifest.audit.label_fields)

    @cached_property
    def in_scope(self) -> AuditCases:
        """The rows of ``scope``."""
        return self.cases.select(self.scope)

    @property
    def manifest(self) -> Manifest:
        """Of the task; only checks of a model may ask."""
        assert self.plugin is not None
        return self.plugin.manifest

    def said(self, label: str) -> str:
        """Return a label within a sentence: the task's name for it, else as the data set has it."""
        if self.plugin is None or label not in self.manifest.label_codes:
            return shown(label)
        return within_sentence(self.manifest.label(label).name)

    @cached_property
    def calibration(self) -> Calibration:
        """Of the task."""
        from whycad.scoring import calibration_of

        assert self.plugin is not None
        return calibration_of(self.plugin)

    @cached_property
    def facts(self) -> ImageFacts:
        """Facts of all rows' pictures."""
        return facts_from(self.fact_chunks.read(COLUMNS))

    @cached_property
    def fact_chunks(self) -> Chunks:
        """What ``FactsJob`` gave for all rows."""
        return self.computed(FactsJob(self.ref), range(len(self.cases)))

    @cached_property
    def predictions(self) -> Chunks:
        """What ``PredictJob`` gave for ``scope``."""
        return self.computed(PredictJob(self.ref, self.device), self.scope.tolist())

    @cached_property
    def answers(self) -> ModelAnswers:
        """The task's answers to the rows of ``scope``."""
        names = ["error", "members", "predicted", "decision", "conformal_p", "gate", "simulated"]
        table = self.predictions.read([*names, "total", "aleatoric", "epistemic"])
        return answers_from(table, self.manifest.label_codes, self.in_scope.labels)

    @cached_property
    def features(self) -> NDArray[np.float32] | None:
        """Penultimate features of the rows of ``scope`` ``(n, d)``, NaN where there are none; None without any."""
        return features_of(self.predictions, len(self.scope), self.engine.cache)

    def computed(self, job: BatchJob, rows: Sequence[int]) -> Chunks:
        """Compute a job for rows, here or on the cluster; what is in the cache is not computed again."""
        return map_batches(job, list(rows), self.engine)

    def bootstrap(self, groups: NDArray[np.str_]) -> GroupBootstrap:
        """Return a bootstrap over groups ``(n,)`` with the audit's draws and seed."""
        return GroupBootstrap(groups, self.options.n_draws, self.options.seed)

    def once(self, key: str, make: Callable[[], object]) -> object:
        """Return what ``make`` gave the first time under this key: for what several checks need."""
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]

    def ids(self, which: BoolArray | NDArray[np.int64], limit: int = 60) -> tuple[str, ...]:
        """Return the ids of some rows of ``scope``, the first ``limit``."""
        return tuple(str(name) for name in self.in_scope.ids[which][:limit])


def features_of(predictions: Chunks, n: int, folder: Path) -> NDArray[np.float32] | None:
    """Return the features of n rows ``(n, d)``, one chunk in memory at a time; None where there are none.

    What is larger than ``MOST_IN_MEMORY`` lies in a nameless file in ``folder``, mapped into memory.
    """
    found: NDArray[np.float32] | None = None
    start = 0
    for table in predictions.stream(["features"]):
        lists = table["features"].combine_chunks()
        widths = np.diff(lists.offsets.to_numpy())
        known = widths > 0
        if known.any():
            width = int(widths.max())
            if found is None:
                found = _empty_features((n, width), folder)
            if width != found.shape[1] or widths[known].min() != width:
                return None
            found[start + np.flatnonzero(known)] = lists.flatten().to_numpy().reshape(-1, width)
        start += len(lists)
    return found


def _empty_features(shape: tuple[int, int], folder: Path) -> NDArray[np.float32]:
    import tempfile

    if shape[0] * shape[1] * 4 <= MOST_IN_MEMORY:
        return np.full(shape, np.nan, np.float32)
    with tempfile.TemporaryFile(dir=folder) as file:
        mapped = np.memmap(file, np.float32, "w+", shape=shape)
    mapped[:] = np.nan
    return mapped


def answers_from(table: pa.Table, codes: tuple[str, ...], labels: NDArray[np.str_]) -> ModelAnswers:
    """Return the table of ``PredictJob`` as arrays; ``labels`` ``(n,)`` are codes, empty where unknown."""
    index = {code: i for i, code in enumerate(codes)}
    n, k = table.num_rows, len(codes)
    lists = table["members"].to_pylist()
    width = max((len(item) for item in lists), default=k)
    members = np.array([item if len(item) == width else [np.nan] * width for item in lists], np.float64)
    return ModelAnswers(
        codes=codes,
        members=members.reshape(n, width // k, k).transpose(1, 0, 2),
        predicted=np.array([index.get(code, -1) for code in table["predicted"].to_pylist()], np.int64),
        label=np.array([index.get(str(code), -1) if code != UNKNOWN else -1 for code in labels], np.int64),
        decision=np.array(table["decision"].to_pylist(), np.str_),
        conformal_p=np.array(table["conformal_p"].to_pylist(), np.float64).reshape(n, k),
        gate=np.array(table["gate"].to_pylist(), np.float64),
        parts=np.array([table[name].to_pylist() for name in ("total", "aleatoric", "epistemic")], np.float64),
        error=np.array(table["error"].to_pylist(), np.str_),
        simulated=any(table["simulated"].to_pylist()),
    )
