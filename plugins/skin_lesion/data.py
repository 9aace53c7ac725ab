"""Training data: HAM10000 and ISIC 2017 packs as one table, split by lesion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.splits import grouped_folds

LABELS = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
ISIC_LABELS = {"nevus": "nv", "melanoma": "mel", "seborrheic_keratosis": "bkl"}
STORED_SIZE = (150, 200)
N_FOLDS = 7
FOLD_SEED = 17
CALIBRATION_FOLD = 0
# A mask over so much of the image's border, brighter than the rest by so many grey levels, is turned inside out.
TURNED_BORDER, TURNED_CONTRAST = 0.9, 5.0


@dataclass(frozen=True)
class LesionTable:
    """Images, labels, outlines and groups of training rows.

    Attributes
    ----------
    images : ndarray of uint8 (n, 150, 200, 3)
    masks : ndarray of uint8 (n, 75, 100)
        Lesion mask, 0 or 1; all 0 where ``has_mask`` is False.
    has_mask : ndarray of bool (n,)
    labels : ndarray of int64 (n,)
        Index into ``LABELS``.
    fold : ndarray of int64 (n,)
        Grouped fold within the train split; -1 for rows that are trained on in every fold.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    has_mask: NDArray[np.bool_]
    labels: NDArray[np.int64]
    fold: NDArray[np.int64]

    def select(self, keep: NDArray[np.bool_]) -> LesionTable:
        """Return the rows where ``keep`` is True."""
        return LesionTable(self.images[keep], self.masks[keep], self.has_mask[keep], self.labels[keep], self.fold[keep])


def unpack_masks(pack: Pack) -> NDArray[np.uint8]:
    """Unpack the lesion masks ``(n, 75, 100)`` of HAM10000, 0 or 1."""
    return np.unpackbits(pack.arrays["lesion_mask_packed"].astype(np.uint8), axis=2)[:, :, :100]


def upright_masks(masks: NDArray[np.uint8], images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn back masks that mark the skin instead of the lesion, as about 3 % of the pack's do.

    Parameters
    ----------
    masks : ndarray of uint8 (n, h, w)
    images : ndarray of uint8 (n, 2 h, 2 w, 3)

    Returns
    -------
    ndarray of uint8 (n, h, w)
        Turned where the mask holds the border and is brighter than what it leaves out: lesions are
        darker than the skin around them.
    """
    sides = (masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1])
    border = np.concatenate(sides, axis=1).mean(axis=1)
    out = masks.copy()
    for row in np.flatnonzero(border >= TURNED_BORDER):
        inside = masks[row].astype(bool)
        grey = images[row, ::2, ::2].mean(axis=-1)
        if not inside.all() and grey[inside].mean() - grey[~inside].mean() > TURNED_CONTRAST:
            out[row] = 1 - masks[row]
    return out


def decode_images(pack: Pack, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Decode rows to one array ``(n, 150, 200, 3)``; ISIC 2017's squashed squares regain 4:3."""
    height, width = STORED_SIZE
    out = np.empty((len(rows), height, width, 3), np.uint8)
    for index, image in enumerate(pack.images(rows)):
        picture = Image.fromarray(np.asarray(image, np.uint8))
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BOX)
        out[index] = np.asarray(picture)
    return out


def ham_table(path: Path, split: str) -> LesionTable:
    """Read one split of HAM10000; folds are cut by lesion group within it."""
    pack = read_pack(path)
    rows = pack.rows(split)
    labels = pack.arrays["y"][rows].astype(np.int64)
    images = decode_images(pack, rows)
    return LesionTable(
        images,
        upright_masks(unpack_masks(pack)[rows], images),
        np.ones(len(rows), bool),
        labels,
        grouped_folds(labels, pack.arrays["group_id"][rows], N_FOLDS, seed=FOLD_SEED),
    )


def isic_training_rows(pack: Pack) -> NDArray[np.int64]:
    """Return the train rows whose group (near duplicates merged) has no image in ``val``."""
    groups = pack.arrays["group_id"]
    return np.setdiff1d(pack.rows("train"), np.flatnonzero(np.isin(groups, groups[pack.rows("val")])))


def isic_labels(pack: Pack, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ISIC 2017's labels of ``rows`` as indices into ``LABELS``."""
    return np.array([LABELS.index(ISIC_LABELS[pack.label_name(int(row))]) for row in rows], np.int64)


def isic_table(path: Path) -> LesionTable:
    """Read ISIC 2017's training rows, labels mapped onto ``LABELS``; no outlines."""
    pack = read_pack(path)
    rows = isic_training_rows(pack)
    n = len(rows)
    return LesionTable(
        decode_images(pack, rows),
        np.zeros((n, 75, 100), np.uint8),
        np.zeros(n, bool),
        isic_labels(pack, rows),
        np.full(n, -1, np.int64),
    )


def training_labels(data: Path) -> NDArray[np.int64]:
    """Return the labels of the rows that members are trained on, without decoding an image."""
    ham = read_pack(data / "skin" / "ham10000.npz")
    rows = ham.rows("train")
    labels = ham.arrays["y"][rows].astype(np.int64)
    kept = grouped_folds(labels, ham.arrays["group_id"][rows], N_FOLDS, seed=FOLD_SEED) != CALIBRATION_FOLD
    isic = read_pack(data / "skin" / "isic2017.npz")
    return np.concatenate([labels[kept], isic_labels(isic, isic_training_rows(isic))])


def concatenate(*tables: LesionTable) -> LesionTable:
    """Join tables row-wise."""
    fields = ("images", "masks", "has_mask", "labels", "fold")
    return LesionTable(*(np.concatenate([getattr(t, f) for t in tables]) for f in fields))


def training_table(data: Path) -> LesionTable:
    """Read every training row under ``data``: HAM10000 in folds, ISIC 2017 without."""
    return concatenate(ham_table(data / "skin" / "ham10000.npz", "train"), isic_table(data / "skin" / "isic2017.npz"))
