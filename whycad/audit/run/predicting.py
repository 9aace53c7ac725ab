"""Predictions of every image, once: what all checks of a model start from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whycad import __version__
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.files import FileData
from whycad.audit.run.chunk_files import failure_text
from whycad.errors import UnreadableError, WhyCadError
from whycad.types import Region, Study

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.data.dataset import AuditDataset
    from whycad.audit.run.engine import Worker
    from whycad.batch import Outcome
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

Case = tuple[Study, Region | None]


# What else than the plugin decides on pixels, preprocessing and passes.
LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "pillow", "imagecodecs")
CODE_SUFFIXES = (".py", ".toml", ".npz")


def plugin_digest(plugin: Plugin, **options: object) -> str:
    """Return the hash of everything that predictions of a task depend on, but for the images.

    That is its weights and calibration, its manifest, code and stored arrays (such as a gate's), the
    version of this code and of the libraries that decode, resize and multiply.
    """
    path = plugin.calibration_path()
    facts = {
        "task": plugin.id,
        "weights": plugin.weights_sha256,
        "calibration": file_sha256(path) if path and path.is_file() else "",
        "files": {name: file_sha256(plugin.folder / name) for name in _code_files(plugin.folder)},
        "code": __version__,
        "libraries": {name: version(name) for name in LIBRARIES},
        **options,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def columns_digest(ref: DatasetRef, plugin: Plugin) -> str:
    """Return the hash of what a task's cases are made of beside the images; empty where that is nothing.

    Such as where a nodule is, or how far apart slices are. It belongs into the digest of every job that reads cases.
    """
    dataset = ref.open()
    if isinstance(dataset, FileData):
        return dataset.regions_sha256
    reads_columns = plugin.manifest.input.needs_region or plugin.manifest.code.read_row is not None
    return dataset.sha256 if reads_columns else ""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; not that of ``whycad.weights``, which loads torch for audits of data too."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _code_files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.suffix in CODE_SUFFIXES and path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found)


def read_cases(dataset: AuditDataset, rows: Sequence[int]) -> list[Case | WhyCadError]:
    """Read rows' images; a row that fails has its error in its place."""
    from concurrent.futures import ThreadPoolExecutor

    def one(row: int) -> Case | WhyCadError:
        try:
            return dataset.case(row)
        except WhyCadError as error:
            return error
        except OSError as error:
            return UnreadableError(f"the file cannot be read ({type(error).__name__})")

    with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
        return list(pool.map(one, rows))


def predict_all(
    cases: Sequence[Case | WhyCadError], plugin: Plugin, ensemble: Ensemble, *, features: bool = False
) -> list[Outcome | WhyCadError]:
    """Predict cases together; those that failed before keep their error."""
    from whycad.batch import BatchOptions, predict_cases

    sound = [case for case in cases if not isinstance(case, WhyCadError)]
    found = iter(predict_cases(sound, plugin, ensemble, BatchOptions(features=features)))
    return [case if isinstance(case, WhyCadError) else next(found) for case in cases]


@dataclass(frozen=True)
class PredictJob:
    """Predict every row of a data set with a task's ensemble.

    Columns: ``error`` (empty where there is none), ``members`` (m * k probabilities), ``predicted``
    (label code, empty where nothing reached the model), ``decision``, ``conformal_p`` (k), ``gate``
    (score; infinite where refused before the model), ``total``, ``aleatoric``, ``epistemic`` (nats),
    ``simulated`` and ``features`` (float16, all members'; empty where there are none).

    Attributes
    ----------
    dataset : DatasetRef
        With a task.
    device : str
        ``cpu``, ``cuda`` or empty for what there is.
    """

    dataset: DatasetRef
    device: str = ""
    name: str = "predictions"

    @property
    def digest(self) -> str:
        """Hash of the task, of the kind of device, and of columns that the task reads beside the images."""
        from whycad.inference import choose_device
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        columns = columns_digest(self.dataset, plugin)
        return plugin_digest(plugin, device=choose_device(self.device or None).type, columns=columns)

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image."""
        return row_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Load the ensemble."""
        from whycad.audit.run.engine import StagedWorker
        from whycad.inference import choose_device, load_members
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        ensemble = load_members(plugin, choose_device(self.device or None))
        dataset = self.dataset.open()

        def compute(cases: Sequence[Case | WhyCadError]) -> pa.Table:
            return outcomes_table(predict_all(cases, plugin, ensemble, features=True), ensemble)

        return StagedWorker(lambda rows: read_cases(dataset, rows), compute)


def row_contents(dataset: AuditDataset, rows: Sequence[int]) -> list[str]:
    """Return the hash of each row's image with its row number; where it cannot be read, the row number alone."""
    found = []
    for row in rows:
        try:
            found.append(f"{row} {dataset.content(row)}")
        except (WhyCadError, OSError):
            found.append(f"{row} unreadable")
    return found


def outlined_contents(dataset: AuditDataset, rows: Sequence[int]) -> list[str]:
    """Return ``row_contents`` with the hash of each row's outline, for jobs that look at ``dataset.mask``."""
    found = zip(rows, row_contents(dataset, rows), strict=True)
    return [f"{content}{_mask_content(dataset, row)}" for row, content in found]


def _mask_content(dataset: AuditDataset, row: int) -> str:
    try:
        if isinstance(dataset, FileData):
            found = dataset.mask_content(row)
        else:
            mask = dataset.mask(row)
            found = "" if mask is None else hashlib.sha256(repr(mask.shape).encode() + mask.tobytes()).hexdigest()
    except (WhyCadError, OSError):
        found = "unreadable"
    return f" mask {found}" if found else ""


def outcomes_table(outcomes: Sequence[Outcome | WhyCadError], ensemble: Ensemble) -> pa.Table:
    """Return outcomes as an Arrow table, one row each."""
    import pyarrow as pa

    k = len(ensemble.plugin.manifest.labels)
    nothing = np.full(len(ensemble.members) * k, np.nan)
    rows = [_outcome_row(outcome, nothing, k) for outcome in outcomes]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    features = columns.pop("features", [])
    table = pa.table(columns)
    return table.append_column("features", pa.array(features, pa.list_(pa.float16())))


def _outcome_row(outcome: Outcome | WhyCadError, nothing: np.ndarray, k: int) -> dict[str, object]:
    prediction = None if isinstance(outcome, WhyCadError) else outcome.prediction
    scored = prediction is not None and bool(prediction.predicted)
    members = prediction.member_probabilities if prediction is not None and scored else nothing
    gate = prediction.out_of_distribution if prediction is not None and scored else None
    parts = prediction.uncertainty if prediction is not None and scored else None
    features = None if isinstance(outcome, WhyCadError) else outcome.features
    return {
        "error": failure_text(outcome) if isinstance(outcome, WhyCadError) else "",
        "members": np.asarray(members, np.float64).ravel().tolist(),
        "predicted": prediction.predicted if prediction is not None else "",
        "decision": prediction.decision.kind.value if prediction is not None else "failed",
        "conformal_p": np.asarray(prediction.conformal_p if prediction and scored else nothing[:k], float).tolist(),
        "gate": float("inf") if not scored else float("nan") if gate is None else float(gate.score),
        "total": float("nan") if parts is None else float(parts.total),
        "aleatoric": float("nan") if parts is None else float(parts.aleatoric),
        "epistemic": float("nan") if parts is None else float(parts.epistemic),
        "simulated": False if isinstance(outcome, WhyCadError) else outcome.simulated,
        "features": [] if features is None else features.astype(np.float16),
    }
