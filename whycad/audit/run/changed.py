"""What a task answers to changed copies of images: one pass for every change of every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.changes.change import Canvas, Change, row_seed
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.chunk_files import failure_text
from whycad.audit.run.predicting import (
    Case,
    columns_digest,
    outlined_contents,
    plugin_digest,
    predict_all,
    read_cases,
)
from whycad.errors import DatasetError, WhyCadError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.data.dataset import AuditDataset
    from whycad.audit.run.engine import Worker
    from whycad.batch import Outcome
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

# Part of the cache's key: raise it when a change draws something else.
CHANGES_VERSION = 1
# Copies that go through the network together: many small ones, or one large volume at a time.
MOST_COPIES, MOST_VALUES = 64, 64 * 512 * 512
ABSENT = "nothing to change"
BY_SLICES = "a volume that is read slice by slice is not changed"


@dataclass(frozen=True)
class ChangedJob:
    """Predict changed copies of every row.

    Columns, each a list with one entry per change: ``probabilities`` (k per change, NaN where
    there are none), ``predicted`` (label code, or empty), ``decision``, ``share`` (of the pixels
    that were changed) and ``why`` (empty where there is an answer of some kind).

    Attributes
    ----------
    dataset : DatasetRef
        With a task.
    changes : tuple of Change
    seed : int
    device : str
    """

    dataset: DatasetRef
    changes: tuple[Change, ...]
    seed: int = 0
    device: str = ""
    name: str = "changed"

    @property
    def digest(self) -> str:
        """Hash of the task, of columns that it reads beside the images, the changes and the seed."""
        from whycad.registry import discover

        named = [asdict(change) for change in self.changes]
        plugin = discover().get(self.dataset.task)
        columns = columns_digest(self.dataset, plugin)
        return plugin_digest(plugin, changes=named, seed=self.seed, drawn=CHANGES_VERSION, columns=columns)

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image and outline."""
        return outlined_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Load the ensemble."""
        from whycad.inference import choose_device, load_members
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        ensemble = load_members(plugin, choose_device(self.device or None))
        dataset = self.dataset.open()

        def work(rows: Sequence[int]) -> pa.Table:
            import pyarrow as pa

            canvases = open_canvases(rows, dataset, ensemble, self.seed)
            return pa.Table.from_pylist(list(_answers(canvases, self.changes, plugin, ensemble)))

        return work


def open_canvases(
    rows: Sequence[int], dataset: AuditDataset, ensemble: Ensemble, seed: int
) -> Iterator[Canvas | WhyCadError]:
    """Yield rows' cases to be changed; a row that cannot be read has its error in its place."""
    for row, case in zip(rows, read_cases(dataset, rows), strict=True):
        yield case if isinstance(case, WhyCadError) else canvas_of(row, case, dataset, ensemble, seed)


def canvas_of(row: int, case: Case, dataset: AuditDataset, ensemble: Ensemble, seed: int) -> Canvas:
    """Return a case to be changed, with the data set's outline of its finding, or the task's own."""
    from whycad.audit.changes.outline import outline_of

    study, region = case
    failed: list[WhyCadError] = []

    def look() -> NDArray[np.bool_] | None:
        # A child that takes too long is waited for once, not for every change.
        if failed:
            raise failed[0]
        try:
            return outline_of(row, case, dataset, ensemble)
        except WhyCadError as error:
            failed.append(error)
            raise

    return Canvas(study, region, ensemble.plugin, row_seed(seed, row), look)


@dataclass(frozen=True, eq=False)
class _Copy:
    row: int
    change: int
    case: Case | WhyCadError
    share: float = float("nan")


def _copies(canvases: Iterator[Canvas | WhyCadError], changes: Sequence[Change], plugin: Plugin) -> Iterator[_Copy]:
    """Yield every changed copy, one at a time, so that memory holds few."""
    from whycad.audit.changes.families import apply
    from whycad.volume import is_read_by_slices

    for row, canvas in enumerate(canvases):
        for number, change in enumerate(changes):
            if isinstance(canvas, WhyCadError):
                yield _Copy(row, number, canvas)
                continue
            if is_read_by_slices(canvas.study, plugin.manifest):
                yield _Copy(row, number, DatasetError(BY_SLICES))
                continue
            try:
                made = apply(canvas, change)
            except WhyCadError as error:
                yield _Copy(row, number, error)
                continue
            if made is None:
                yield _Copy(row, number, DatasetError(ABSENT))
            else:
                yield _Copy(row, number, (made.study, made.region), made.share)


def _answers(
    canvases: Iterator[Canvas | WhyCadError], changes: Sequence[Change], plugin: Plugin, ensemble: Ensemble
) -> Iterator[dict[str, object]]:
    """Yield one record per row."""
    n, k = len(changes), len(plugin.manifest.labels)
    record = _empty(n, k)
    done = 0
    for batch in _batches(_copies(canvases, changes, plugin)):
        outcomes = predict_all([copy.case for copy in batch], plugin, ensemble)
        for copy, outcome in zip(batch, outcomes, strict=True):
            _enter(record, copy, outcome, k)
            done += 1
            if done == n:
                yield record
                record, done = _empty(n, k), 0


def _batches(copies: Iterator[_Copy]) -> Iterator[list[_Copy]]:
    batch: list[_Copy] = []
    values = 0
    for copy in copies:
        batch.append(copy)
        values += 0 if isinstance(copy.case, WhyCadError) else copy.case[0].pixels.size
        if len(batch) >= MOST_COPIES or values >= MOST_VALUES:
            yield batch
            batch, values = [], 0
    if batch:
        yield batch


def _empty(n: int, k: int) -> dict[str, object]:
    return {
        "probabilities": [float("nan")] * (n * k),
        "predicted": [""] * n,
        "decision": ["failed"] * n,
        "share": [float("nan")] * n,
        "why": [""] * n,
    }


def _enter(record: dict[str, object], copy: _Copy, outcome: Outcome | WhyCadError, k: int) -> None:
    columns: dict[str, list[object]] = record  # type: ignore[assignment]  # every column is a list, see _empty
    place = copy.change
    columns["share"][place] = copy.share
    if isinstance(outcome, WhyCadError):
        columns["why"][place] = failure_text(outcome)
        return
    prediction = outcome.prediction
    columns["decision"][place] = prediction.decision.kind.value
    columns["predicted"][place] = prediction.predicted
    if prediction.predicted:
        columns["probabilities"][place * k : (place + 1) * k] = [float(p) for p in prediction.probabilities]


@dataclass(frozen=True, eq=False)
class ChangedAnswers:
    """A task's answers to c changes of n rows.

    Attributes
    ----------
    scope : ndarray of int64 (n,)
        Which rows, as places in ``AuditContext.scope``.
    changes : tuple of Change
    probabilities : ndarray (n, c, k)
        NaN where nothing reached the model.
    predicted : ndarray of int64 (n, c)
        -1 where unknown.
    decision : ndarray of str (n, c)
        ``report``, ``refer``, ``reject``, or ``failed`` where no changed copy was made or read.
    share : ndarray (n, c)
        Of the pixels that were changed.
    why : ndarray of str (n, c)
    """

    scope: NDArray[np.int64]
    changes: tuple[Change, ...]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]
    decision: NDArray[np.str_]
    share: NDArray[np.float64]
    why: NDArray[np.str_]

    def of(self, change: Change) -> int:
        """Return the place of a change."""
        return self.changes.index(change)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether a changed copy was made and given an answer, be it a refusal, ``(n, c)``."""
        return np.asarray(self.decision != "failed")


def changed_from(
    table: pa.Table, scope: NDArray[np.int64], changes: tuple[Change, ...], codes: tuple[str, ...]
) -> ChangedAnswers:
    """Return the job's table as arrays."""
    n, c = len(scope), len(changes)
    index = {code: place for place, code in enumerate(codes)}

    def column(name: str) -> list[list[object]]:
        found: list[list[object]] = table[name].to_pylist()
        return found

    return ChangedAnswers(
        scope=scope,
        changes=changes,
        probabilities=np.array(column("probabilities"), np.float64).reshape(n, c, len(codes)),
        predicted=np.array([[index.get(str(code), -1) for code in row] for row in column("predicted")], np.int64),
        decision=np.array(column("decision"), np.str_).reshape(n, c),
        share=np.array(column("share"), np.float64).reshape(n, c),
        why=np.array(column("why"), np.str_).reshape(n, c),
    )
