"""Make one simulated set: patients, labels, artefacts of a planned strength, metadata, and a leak where wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycad.audit.qa.artefacts import draw_artefact
from whycad.audit.qa.plan import ARTEFACTS, SetSpec
from whycad.audit.qa.scenes import SIDE, draw_scene, is_colour

CLASSES = ("benign", "disease")
N_PATIENTS = 540
SPLITS = {"train": 0.42, "cal": 0.13, "val": 0.45}
# Of artefacts that have nothing to do with the label.
BYSTANDER_SHARE = 0.3
N_BYSTANDERS = 2
N_TRUTH = 800
COPIES = 16
FEW_SUBJECTS = 14

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PhantomSet:
    """n simulated images with what is known of them.

    Attributes
    ----------
    images : ndarray of uint8 (n, 64, 64) or (n, 64, 64, 3)
    lesions : ndarray of bool (n, 64, 64)
    labels : ndarray of int64 (n,)
        0 or 1.
    planted : ndarray of bool (n,)
        Whether the planted artefact is there.
    patients, splits : ndarray of str (n,)
    columns : dict of str to ndarray (n, ...)
        Metadata, as a pack stores them.
    flags : dict of str to ndarray of bool (n,)
        Where each artefact is that some images have: the planted one and those that are there by chance.
    """

    images: NDArray[np.uint8]
    lesions: NDArray[np.bool_]
    labels: IntArray
    planted: NDArray[np.bool_]
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]
    columns: dict[str, NDArray[np.generic]]
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def write(self, path: Path) -> Path:
        """Write the set as an image pack."""
        arrays: dict[str, Any] = {
            "images": self.images,
            "mask": self.lesions.astype(np.uint8),
            "y": self.labels,
            "class_names": np.array(CLASSES),
            "patient": self.patients,
            "split": self.splits,
            **self.columns,
        }
        np.savez(path, **arrays)
        return path


def make_set(spec: SetSpec, n_patients: int = N_PATIENTS) -> PhantomSet:
    """Make the set that is audited, with its training part, and its leak where it has one."""
    rng = np.random.default_rng((spec.seed, 0))
    patients = _patients(n_patients, rng)
    labels = (rng.random(n_patients) < 0.5).astype(np.int64)[patients]
    made = _draw(spec, labels, _planted(labels, spec.phi, rng), patients, rng)
    return _leaky(made, spec, rng) if spec.leak else made


def make_truth(spec: SetSpec, n: int = N_TRUTH) -> PhantomSet:
    """Make new images in which the artefact and the label have nothing to do with each other."""
    rng = np.random.default_rng((spec.seed, 1))
    labels = (np.arange(n) % 2).astype(np.int64)
    planted = (np.arange(n) // 2 % 2).astype(bool)
    return _draw(spec, labels, planted, np.arange(n), rng)


def as_bytes(images: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return images of 0..1 as a pack stores them."""
    return np.rint(np.stack(images) * 255).astype(np.uint8)


def phi_of(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """Return the phi coefficient of two flags ``(n,)``."""
    return float(np.corrcoef(first.astype(float), second.astype(float))[0, 1])


def _patients(n: int, rng: np.random.Generator) -> IntArray:
    """Return the patient of each image; one to three images each."""
    return np.repeat(np.arange(n), rng.integers(1, 4, n))


def _planted(labels: IntArray, phi: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a flag that is as common as not, with this phi between it and the label."""
    return np.asarray(rng.random(len(labels)) < 0.5 + phi * (labels - 0.5))


def _draw(
    spec: SetSpec, labels: IntArray, planted: NDArray[np.bool_], patients: IntArray, rng: np.random.Generator
) -> PhantomSet:
    n = len(labels)
    others = [name for name in ARTEFACTS[spec.task] if name != spec.artefact]
    # The same in all images that are drawn for a set.
    bystanders = list(np.random.default_rng((spec.seed, 3)).permutation(others)[:N_BYSTANDERS])
    there = {spec.artefact: planted} | {str(name): rng.random(n) < BYSTANDER_SHARE for name in bystanders}
    shape = (n, SIDE, SIDE, 3) if is_colour(spec.task) else (n, SIDE, SIDE)
    images, lesions = np.empty(shape, np.uint8), np.empty((n, SIDE, SIDE), bool)
    for row in range(n):
        scene = draw_scene(spec.task, int(labels[row]), rng)
        pixels = scene.pixels
        # In one order, so that what is planted is not always on top.
        for name in sorted(there):
            if there[name][row]:
                pixels = draw_artefact(name, pixels, rng)
        images[row], lesions[row] = np.rint(pixels * 255).astype(np.uint8), scene.lesion
    columns = _columns(there, patients, rng)
    names = np.array([f"p{patient:04d}" for patient in patients])
    return PhantomSet(images, lesions, labels, planted, names, _splits(patients, rng), columns, there)


def _splits(patients: IntArray, rng: np.random.Generator) -> NDArray[np.str_]:
    """Cut by patient."""
    drawn = rng.random(int(patients.max()) + 1)
    edges = np.cumsum(list(SPLITS.values()))[:-1]
    return np.array(list(SPLITS))[np.searchsorted(edges, drawn)][patients]


def _columns(
    there: dict[str, NDArray[np.bool_]], patients: IntArray, rng: np.random.Generator
) -> dict[str, NDArray[np.generic]]:
    """Return metadata: flags of artefacts, and columns that have nothing to do with label or image."""
    n = int(patients.max()) + 1
    columns: dict[str, NDArray[np.generic]] = {
        "age": rng.integers(25, 90, n)[patients],
        "sex": rng.choice(["female", "male"], n)[patients],
        "site": rng.choice(["site A", "site B", "site C"], n)[patients],
    }
    flags = {name: flag for name, flag in there.items() if name not in ("scanner", "orig_size")}
    if flags:
        columns["artefacts"] = np.stack(list(flags.values()), axis=1).astype(np.uint8)
        columns["artefact_names"] = np.array(list(flags))
    if "orig_size" in there:
        columns["orig_size"] = np.where(there["orig_size"][:, None], (512, 496), (1024, 992))
    if "scanner" in there:
        columns["scanner"] = np.where(there["scanner"], "scanner B", "scanner A")
    return columns


def _leaky(made: PhantomSet, spec: SetSpec, rng: np.random.Generator) -> PhantomSet:
    match spec.leak:
        case "duplicates":
            return _with_copies(made, rng)
        case "patients":
            return replace(made, splits=rng.permutation(made.splits))
        case "source":
            site = np.where(made.labels == 1, "site A", "site B")
            return replace(made, columns=made.columns | {"site": site})
        case "subject":
            return _with_few_subjects(made, rng)
    return made


def _with_copies(made: PhantomSet, rng: np.random.Generator) -> PhantomSet:
    """Put copies of training images into val under other patients, half of them a little brighter."""
    train, val = np.flatnonzero(made.splits == "train"), np.flatnonzero(made.splits == "val")
    sources = rng.choice(train, COPIES, replace=False)
    targets = rng.choice(val, COPIES, replace=False)
    images, lesions, labels = made.images.copy(), made.lesions.copy(), made.labels.copy()
    images[targets], lesions[targets], labels[targets] = images[sources], lesions[sources], labels[sources]
    brighter = targets[: COPIES // 2]
    images[brighter] = np.clip(images[brighter].astype(float) * 1.03 + 2, 0, 255).astype(np.uint8)
    return replace(made, images=images, lesions=lesions, labels=labels)


def _with_few_subjects(made: PhantomSet, rng: np.random.Generator) -> PhantomSet:
    """Let few subjects, each of one label, have all the images."""
    subject = 2 * rng.integers(0, FEW_SUBJECTS // 2, len(made)) + made.labels
    names = np.array([f"p{number:04d}" for number in range(FEW_SUBJECTS)])
    splits = np.array(["train", "cal", "val"])[rng.permutation(np.arange(FEW_SUBJECTS) % 3)]
    return replace(made, patients=names[subject], splits=splits[subject])
