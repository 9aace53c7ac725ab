"""Training data: levelled B-scans of the Kermany and Duke packs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.retinal_oct.align import INPUT_SHAPE
from plugins.retinal_oct.preprocess import level
from whycad.datasets.pack import Pack, read_pack
from whycad.types import FloatArray, Geometry

LABELS = ("cnv", "normal")
NAMES = {"CNV": 0, "NORMAL": 1}
KERMANY, DUKE = Path("oct") / "kermany_cnv_normal.npz", Path("oct") / "duke_dme_fluid.npz"
# One of the four contiguous parts of the train split; no member is trained on it.
CALIBRATION_FOLD = 3
# Images per patient in the original collection are about 47 (CNV) and 14 (normal).
RUN_LENGTH = {"CNV": 50, "NORMAL": 16}


@dataclass(frozen=True)
class ScanTable:
    """Levelled scans.

    Attributes
    ----------
    images : ndarray of float16 (n, 112, 192)
        0..1.2.
    inner, outer : ndarray of float32 (n, 192)
        Rows of the retina's borders.
    labels : ndarray of int64 (n,)
        Index into ``LABELS``.
    fold : ndarray of int64 (n,)
    rows : ndarray of int64 (n,)
        In the pack.
    """

    images: NDArray[np.float16]
    inner: NDArray[np.float32]
    outer: NDArray[np.float32]
    labels: NDArray[np.int64]
    fold: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, keep: NDArray[np.bool_]) -> ScanTable:
        """Return the rows where ``keep`` is True."""
        return ScanTable(**{name: array[keep] for name, array in vars(self).items()})


def training_rows(pack: Pack) -> NDArray[np.int64]:
    """Return the rows of ``train`` that are not beside the border of a contiguous part."""
    rows = pack.rows("train")
    return np.asarray(rows[~pack.arrays["near_fold_border"][rows].astype(bool)], np.int64)


def labels_of(pack: Pack, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels of ``rows`` as indices into ``LABELS``."""
    return np.array([NAMES[pack.label_name(int(row))] for row in rows], np.int64)


def groups_of(pack: Pack, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return runs of neighbours in the collection's order, about a patient each: the pack has no patient ids."""
    names = [pack.label_name(int(row)) for row in rows]
    order = pack.arrays["order"][rows].astype(np.int64)
    return np.array([f"{name}-{value // RUN_LENGTH[name]}" for name, value in zip(names, order, strict=True)])


def grey(pack: Pack, row: int) -> FloatArray:
    """Return one row's image in 0..1."""
    return np.asarray(pack.image(row), np.float32) / np.float32(255)


def kermany_table(data: Path) -> ScanTable:
    """Level the training rows of the Kermany pack."""
    pack = read_pack(data / KERMANY)
    rows = training_rows(pack)
    images = np.empty((len(rows), *INPUT_SHAPE), np.float16)
    inner = np.empty((len(rows), INPUT_SHAPE[1]), np.float32)
    outer = np.empty_like(inner)
    for index, row in enumerate(rows):
        image, _, borders = level(grey(pack, int(row)))
        images[index], inner[index], outer[index] = image, borders.inner, borders.outer
    fold = pack.arrays["fold5"][rows].astype(np.int64)
    return ScanTable(images, inner, outer, labels_of(pack, rows), fold, rows.astype(np.int64))


def stored_table(data: Path, out: Path) -> ScanTable:
    """Return ``kermany_table``, kept in ``out`` between runs."""
    path = out / "scans.npz"
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **vars(kermany_table(data)))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return ScanTable(**{name: stored[name] for name in stored.files})


@dataclass(frozen=True)
class FluidTable:
    """Levelled Duke scans with experts' fluid masks.

    Attributes
    ----------
    images : ndarray of float32 (n, 112, 192)
    masks : ndarray of float32 (n, 112, 192)
        Share of each pixel that is fluid.
    patients : ndarray of str (n,)
    """

    images: FloatArray
    masks: FloatArray
    patients: NDArray[np.str_]


def on_model_grid(mask: NDArray[np.generic], geometry: Geometry) -> FloatArray:
    """Bring a mask ``(H, W)`` of the source onto the model's grid."""
    smooth = ndimage.gaussian_filter(np.asarray(mask.astype(np.float32) > 0, np.float32), 0.5)
    matrix = geometry.to_source
    return np.asarray(
        ndimage.affine_transform(smooth, matrix[:2, :2], matrix[:2, 2], geometry.model_shape, order=1), np.float32
    )


def fluid_table(data: Path) -> FluidTable:
    """Level the Duke pack's scans and masks."""
    pack = read_pack(data / DUKE)
    images, masks = [], []
    for row in range(len(pack)):
        image, geometry, _ = level(grey(pack, row))
        images.append(image)
        masks.append(on_model_grid(pack.arrays["mask"][row], geometry))
    return FluidTable(np.stack(images), np.stack(masks), pack.arrays["patient"].astype(str))
