"""Reference sets as files: made from a task's calibration cases, or from the user's own.

The file that a plugin ships holds projected features, labels and numbers that stand for groups:
no image, no id. Pictures are written only into a folder of the user's own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.datasets.npz import read_arrays
from whycad.errors import DatasetError, ManifestError, StoreError, WhyCadError
from whycad.neighbours import Reference, nearest_distances, project, side_by_side
from whycad.phantom import PhantomCase
from whycad.reference_cases import ReferenceCase
from whycad.types import FloatArray, Study
from whycad.uncertainty.ood import unit_length

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

FORMAT = "whycad-reference-1"
INDEX_NAME = "reference_index.npz"
PICTURES = "pictures"
FOLDER_VARIABLE = "WHYCAD_REFERENCE"
VARIANCE_KEPT = 0.99
MOST_DIMENSIONS = 128
FEWEST_CASES = 8
BATCH = 32
MAX_BYTES = 256 * 1024**2
THUMBNAIL_SIDE = 160
REMEDY = "make it again with `whycad index`"
STAND_IN = "Simulated stand-in"


@dataclass(frozen=True, eq=False)
class Gathered:
    """What came of running the members over reference cases.

    Attributes
    ----------
    features : ndarray of float32 (n, m * d)
        Members side by side, see ``neighbours.side_by_side``.
    labels : tuple of str (n,)
    groups : tuple of str (n,)
    pictures : tuple of bytes
        Thumbnails as PNG files, where they were asked for.
    simulated : bool
        Whether every case was.
    """

    features: FloatArray
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    pictures: tuple[bytes, ...]
    simulated: bool


def gather(cases: Iterable[ReferenceCase], ensemble: Ensemble, *, pictures: bool = False) -> Gathered:
    """Run the members over reference cases.

    Images that the task's preprocessing declines are left out.

    Raises
    ------
    DatasetError
        When fewer than eight cases are left.
    PluginError, PredictionError
        As ``Ensemble.features``.
    """
    parts, labels, groups, thumbnails, simulated = [], [], [], [], True
    waiting = iter(cases)
    while chunk := list(islice(waiting, BATCH)):
        usable, inputs = _prepared(chunk, ensemble.plugin)
        if not usable:
            continue
        parts.append(side_by_side(_features(inputs, ensemble)))
        labels += [case.label for case in usable]
        groups += [case.group for case in usable]
        simulated &= all(case.study.simulated for case in usable)
        if pictures:
            thumbnails += [_thumbnail(case) for case in usable]
    if len(labels) < FEWEST_CASES:
        raise DatasetError(
            f"{len(labels)} labelled cases are too few for a reference set", remedy=f"give at least {FEWEST_CASES}"
        )
    return Gathered(np.concatenate(parts), tuple(labels), tuple(groups), tuple(thumbnails), simulated)


def _prepared(chunk: Sequence[ReferenceCase], plugin: Plugin) -> tuple[list[ReferenceCase], list[FloatArray]]:
    usable, inputs = [], []
    for case in chunk:
        try:
            inputs.append(plugin.preprocess(case.study, case.region).array)
        except WhyCadError:
            continue
        usable.append(case)
    return usable, inputs


def _features(inputs: list[FloatArray], ensemble: Ensemble) -> FloatArray:
    import torch

    return np.asarray(ensemble.features(torch.from_numpy(np.stack(inputs))).numpy(), np.float32)


def _thumbnail(case: ReferenceCase) -> bytes:
    """Return a small PNG of a case; of a volume, the slice that its region is on."""
    from whycad.rendering import base_picture, png

    index = None
    if len(case.study.spatial_shape) == 3 and case.region is not None:
        index = int(np.clip(round(case.region.start[0]), 0, case.study.spatial_shape[0] - 1))
    return png(base_picture(case.study, index), max_side=THUMBNAIL_SIDE)


def build(gathered: Gathered, plugin: Plugin, dataset: str, order: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a reference file.

    Parameters
    ----------
    gathered : Gathered
    plugin : Plugin
    dataset : str
        What the cases are, for the reader.
    order : ndarray of int64 (n,)
        Of the cases in the file; a random one does not tell which row of the data a case came from.
    """
    codes = plugin.manifest.label_codes
    rows = gathered.features[order]
    mean = rows.mean(axis=0).astype(np.float16)
    basis, kept = _directions(rows - mean.astype(np.float32))
    vectors = project(rows, mean.astype(np.float32), basis.astype(np.float32))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(gathered.groups[i] for i in order))}
    about = {
        "format": FORMAT,
        "task": plugin.id,
        "weights_sha256": plugin.weights_sha256,
        "labels": list(codes),
        "dataset": dataset,
        "n": len(order),
        "n_groups": len(numbers),
        "simulated": gathered.simulated,
        "variance_kept": round(kept, 4),
    }
    return {
        "vectors": vectors.astype(np.float16),
        "label_of": np.array([codes.index(gathered.labels[i]) for i in order], np.int16),
        "groups": np.array([numbers[gathered.groups[i]] for i in order], np.int32),
        "mean": mean,
        "basis": basis,
        "about": np.array(json.dumps(about)),
    }


def shuffled(n: int, seed: int) -> NDArray[np.int64]:
    """Return a random order of n cases."""
    return np.random.default_rng(seed).permutation(n)


def _directions(centred: FloatArray) -> tuple[NDArray[np.float16], float]:
    """Return leading directions ``(d, p)`` that keep 99 % of the variance, 128 at most, and the share they keep."""
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    shares = np.cumsum(lengths**2) / max(float(np.sum(lengths**2)), 1e-12)
    n = min(int(np.searchsorted(shares, VARIANCE_KEPT)) + 1, MOST_DIMENSIONS, len(lengths))
    return directions[:n].T.astype(np.float16), float(shares[n - 1])


def write_index(arrays: dict[str, NDArray[np.generic]], path: Path, pictures: dict[str, bytes] | None = None) -> None:
    """Write a reference file, whole or not at all, and thumbnails beside it.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # the stub takes the arrays for a flag
        for name, body in (pictures or {}).items():
            (path.parent / PICTURES).mkdir(exist_ok=True)
            (path.parent / PICTURES / f"{name}.png").write_bytes(body)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path.name!r} cannot be written ({type(error).__name__})", remedy="name a folder that can be written"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def read_index(path: Path, plugin: Plugin) -> Reference:
    """Read a reference file and check it against the task.

    Raises
    ------
    ManifestError
        When it is missing or broken, or was made with other weights or labels.
    """
    try:
        arrays = read_arrays(path, max_bytes=MAX_BYTES)
        about = json.loads(str(arrays["about"]))
        reference = _reference(arrays, about, plugin)
    except (DatasetError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ManifestError(
            f"{plugin.label}: the reference set is missing or broken ({type(error).__name__})", remedy=REMEDY
        ) from error
    if about.get("format") != FORMAT or reference.labels != plugin.manifest.label_codes or reference.task != plugin.id:
        raise ManifestError(f"{plugin.label}: the reference set is of another task or format", remedy=REMEDY)
    if reference.weights_sha256 != plugin.weights_sha256:
        raise ManifestError(f"{plugin.label}: the reference set was made with other weights", remedy=REMEDY)
    return reference


def _reference(arrays: dict[str, NDArray[np.generic]], about: dict[str, object], plugin: Plugin) -> Reference:
    vectors, mean, basis = (np.asarray(arrays[name], np.float32) for name in ("vectors", "mean", "basis"))
    label_of, groups = (np.asarray(arrays[name], np.int64) for name in ("label_of", "groups"))
    labels = tuple(str(code) for code in about["labels"])  # type: ignore[attr-defined]  # a TypeError is caught
    n, p = vectors.shape
    fits = label_of.shape == groups.shape == (n,) and basis.shape == (len(mean), p)
    if not fits or not np.isfinite(vectors).all():
        raise ValueError("arrays do not fit each other")
    vectors = np.asarray(unit_length(vectors.astype(np.float64)), np.float32)  # half precision has rounded their length
    if n and not 0 <= label_of.min() <= label_of.max() < len(labels):
        raise ValueError("a label is not one of the task's")
    return Reference(
        task=str(about["task"]),
        weights_sha256=str(about["weights_sha256"]),
        labels=labels,
        must_not_miss=tuple(label.code for label in plugin.manifest.labels if label.must_not_miss),
        vectors=vectors,
        label_of=label_of,
        groups=groups,
        mean=mean,
        basis=basis,
        dataset=str(about["dataset"]),
        simulated=bool(about["simulated"]),
        nearest=nearest_distances(vectors, label_of, groups, labels),
    )


def own_folder(task: str) -> Path:
    """Return where the user's own reference set of a task lies: below $WHYCAD_REFERENCE, else in the home folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return (Path(named) if named else Path.home() / ".local" / "share" / "whycad") / task


def index_path(plugin: Plugin) -> Path | None:
    """Return the reference file in use: the user's own where there is one, else the shipped one; None of none."""
    own = own_folder(plugin.id) / INDEX_NAME
    if own.is_file():
        return own
    declared = plugin.manifest.similar
    return None if declared is None else plugin.folder / declared.file


def reference_of(plugin: Plugin) -> Reference | None:
    """Return the task's reference set, kept until its file changes; None where there is none.

    Raises
    ------
    ManifestError
        As ``read_index``, and when a shipped file is not the one that plugin.toml names by its hash.
    """
    path = index_path(plugin)
    if path is None:
        return None
    if not path.is_file():
        raise ManifestError(f"{plugin.label}: there is no reference set {path.name!r}", remedy=REMEDY)
    return _read_once(path, plugin, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read_once(path: Path, plugin: Plugin, _stamp: int) -> Reference:
    declared = plugin.manifest.similar
    shipped = declared is not None and path == plugin.folder / declared.file
    if shipped and declared is not None and declared.sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != declared.sha256:
            raise ManifestError(f"{plugin.label}: the reference set is not the one that plugin.toml names")
    return read_index(path, plugin)


def picture_path(task: str, reference: str) -> Path | None:
    """Return the user's own thumbnail of a reference case; None where there is none.

    Parameters
    ----------
    task : str
    reference : str
        ``SimilarCase.reference``.
    """
    folder = (own_folder(task) / PICTURES).resolve()
    path = (folder / f"{reference}.png").resolve()
    return path if path.parent == folder and path.is_file() else None


def choose_stand_in(cases: Sequence[PhantomCase], label: str) -> PhantomCase | None:
    """Return the simulated case that stands for a label where there is no picture; one without artefacts if possible.

    It is to be shown under the words of ``STAND_IN``.
    """
    fitting = sorted((case for case in cases if case.label == label), key=lambda case: len(case.artefacts))
    return fitting[0] if fitting else None


def stand_in(plugin: Plugin, label: str) -> Study | None:
    """Return a simulated picture of a label; None where the plugin makes none.

    Raises
    ------
    PluginError
        When the plugin's code fails. It runs here: an app asks the job queue for the samples and uses
        ``choose_stand_in``.
    """
    case = choose_stand_in(plugin.phantom(), label)
    return None if case is None else case.study
