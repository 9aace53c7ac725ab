"""Training data: LIDC-IDRI key slices (and slices of the 1 mm stacks) as one table, split by patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from plugins.lung_nodule.concepts import N_SUSPICION_LEVELS, head_widths
from plugins.lung_nodule.grid import ASSUMED_PIXEL_MM, HU_RANGE
from plugins.lung_nodule.rows import CROP_CENTRE, consensus, reader_masks
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.splits import grouped_folds

LABELS = ("benign", "malignant")
KEY_SLICES = Path("lung") / "lidc_key_slices.npz"
STACKS = Path("lung") / "lidc_stacks_1mm.npz"
MALIGNANCY = "malignancy"
INDETERMINATE = 3
N_FOLDS = 5
FOLD_SEED = 23
CALIBRATION_FOLD = 0
STORED_SIDE = 128


@dataclass(frozen=True)
class NoduleTable:
    """Nodules with everything that their readers said.

    Attributes
    ----------
    hu : ndarray of int16 (n, 128, 128)
        The key slice.
    mask : ndarray of uint8 (n, 128, 128)
        Outline that at least half of its readers drew.
    spacing_mm, seed : ndarray of float64 (n,), (n, 2)
        Pixel size; centre of the outline as (row, column).
    label : ndarray of int64 (n,)
        By the median rating: 0 benign, 1 malignant, -1 indeterminate.
    ratings : dict of str to ndarray of float32 (n, levels)
        Share of readers per level, by head of the network; ``suspicion`` is malignancy.
    n_readers : ndarray of int64 (n,)
    diameter_mm : ndarray of float64 (n,)
        Median over readers; NaN where none measured.
    patient : ndarray of str (n,)
    fold : ndarray of int64 (n,)
    """

    hu: NDArray[np.int16]
    mask: NDArray[np.uint8]
    spacing_mm: NDArray[np.float64]
    seed: NDArray[np.float64]
    label: NDArray[np.int64]
    ratings: dict[str, NDArray[np.float32]]
    n_readers: NDArray[np.int64]
    diameter_mm: NDArray[np.float64]
    patient: NDArray[np.str_]
    fold: NDArray[np.int64]

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> NoduleTable:
        """Return the rows that ``keep`` names."""
        fields = {name: getattr(self, name)[keep] for name in self.__dataclass_fields__ if name != "ratings"}
        return NoduleTable(**fields, ratings={name: values[keep] for name, values in self.ratings.items()})


@dataclass(frozen=True)
class SliceTable:
    """Axial slices of the 1 mm stacks, other than the nodule's largest.

    Attributes
    ----------
    hu : ndarray of int16 (m, 48, 48)
    mask : ndarray of uint8 (m, 48, 48)
    owner : ndarray of int64 (m,)
        Row of the nodule in the table.
    """

    hu: NDArray[np.int16]
    mask: NDArray[np.uint8]
    owner: NDArray[np.int64]


def rating_shares(ratings: NDArray[np.int8], levels: int) -> NDArray[np.float32]:
    """Return the share of readers per level, float32 ``(n, levels)``, of ratings ``(n, readers)``; -1 is none."""
    counts = np.stack([(ratings == level).sum(axis=1) for level in range(1, levels + 1)], axis=1).astype(np.float32)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float32)


def suspicion_share(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of readers who rated above indeterminate, those at indeterminate counting half."""
    return np.asarray(shares[:, INDETERMINATE:].sum(axis=1) + 0.5 * shares[:, INDETERMINATE - 1], np.float32)


def beyond_size(table: NoduleTable) -> NDArray[np.float32]:
    """Return by how much each nodule's mean rating is above that of others of its diameter.

    In ranks, as a partial rank correlation sees it, and in standard deviations.

    Returns
    -------
    ndarray of float32 (n, heads)
        In the order of ``head_widths``; NaN where no diameter is known.
    """
    known = np.isfinite(table.diameter_mm)
    size = rankdata(table.diameter_mm[known])
    basis = np.stack([np.ones(len(size)), size], axis=1)
    out = np.full((len(known), len(table.ratings)), np.nan, np.float32)
    for column, shares in enumerate(table.ratings.values()):
        rank = rankdata(shares[known] @ np.arange(1, shares.shape[1] + 1))
        rest = rank - basis @ np.linalg.lstsq(basis, rank, rcond=None)[0]
        out[known, column] = rest / rest.std()
    return out


def median_label(ratings: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return 1 where the median rating is above 3, 0 below, -1 at 3; of ratings ``(n, readers)``."""
    known = np.where(ratings > 0, ratings.astype(float), np.nan)
    median = np.nanmedian(known, axis=1)
    return np.where(median > INDETERMINATE, 1, np.where(median < INDETERMINATE, 0, -1)).astype(np.int64)


def _ratings(pack: Pack, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int8]]:
    names = [str(name) for name in pack.arrays["attr_names"]]
    table = pack.arrays["reader_attr"][rows].astype(np.int8)
    return {name: table[:, :, index] for index, name in enumerate(names)}


def _median_positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the positive entries of each row; NaN where there are none."""
    out = np.full(len(values), np.nan)
    for index, row in enumerate(values):
        positive = row[np.isfinite(row) & (row > 0)]
        if len(positive):
            out[index] = np.median(positive)
    return out


def _centres(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    axis = np.arange(masks.shape[-1])
    total = np.maximum(masks.sum(axis=(1, 2)), 1)[:, None]
    found = np.stack([masks.sum(axis=2) @ axis, masks.sum(axis=1) @ axis], axis=1) / total
    marked = np.asarray(masks.any(axis=(1, 2)))[:, None]
    return np.asarray(np.where(marked, found, CROP_CENTRE * masks.shape[-1]), np.float64)


def nodule_table(data: Path, split: str = "train") -> NoduleTable:
    """Read the nodules of one split; folds are cut by patient within it.

    Parameters
    ----------
    data : Path
        Folder of packs.
    split : str
    """
    pack = read_pack(data / KEY_SLICES)
    rows = pack.rows(split)
    a, b = (pack.arrays[name][rows].astype(np.float32)[:, None, None] for name in ("hu_a", "hu_b"))
    hu = np.rint(np.clip(pack.image_array[rows].astype(np.float32) * a + b, *HU_RANGE)).astype(np.int16)
    masks = consensus(reader_masks(pack.arrays["reader_masks_packed"][rows], STORED_SIDE))
    ratings = _ratings(pack, rows)
    named = {**ratings, "suspicion": ratings[MALIGNANCY]}
    spacing = pack.arrays["pixel_spacing_mm"][rows].astype(np.float64)
    label = median_label(ratings[MALIGNANCY])
    patient = pack.arrays["patient"][rows].astype(str)
    return NoduleTable(
        hu=hu,
        mask=masks.astype(np.uint8),
        spacing_mm=np.where(np.isfinite(spacing), spacing, ASSUMED_PIXEL_MM),
        seed=_centres(masks),
        label=label,
        ratings={name: rating_shares(named[name], levels) for name, levels in head_widths().items()},
        n_readers=(ratings[MALIGNANCY] > 0).sum(axis=1),
        diameter_mm=_median_positive(pack.arrays["reader_diameter_mm"][rows].astype(np.float64)),
        patient=patient,
        fold=grouped_folds(label, patient, N_FOLDS, seed=FOLD_SEED),
    )


def _slice_rows(votes: NDArray[np.uint8], depth: int) -> NDArray[np.int64]:
    """Return the slices within 3 mm of a stack's middle."""
    z = np.arange(depth)
    near = np.abs(z - (depth - 1) / 2) <= 3
    return np.asarray(z[near & votes.any(axis=(1, 2))], np.int64)


def slice_table(data: Path, split: str = "train") -> SliceTable:
    """Read slices near the middle of the split's stacks, to stand for clicks on a neighbouring slice.

    Owners are rows of ``nodule_table`` of the same split.
    """
    keys, stacks = read_pack(data / KEY_SLICES), read_pack(data / STACKS)
    owner = {
        (str(keys.arrays["patient"][row]), int(keys.arrays["nodule_no"][row])): index
        for index, row in enumerate(keys.rows(split))
    }
    hu, mask, owners = [], [], []
    for row in stacks.rows(split):
        start, stop = (int(v) for v in stacks.arrays["offset"][row : row + 2])
        votes = stacks.arrays["votes"][start:stop].astype(np.uint8)
        chosen = _slice_rows(votes, stop - start)
        key = (str(stacks.arrays["patient"][row]), int(stacks.arrays["nodule_no"][row]))
        hu.append(stacks.arrays["vol"][start:stop][chosen])
        mask.append((2 * votes[chosen] >= max(int(votes.max()), 1)).astype(np.uint8))
        owners.append(np.full(len(chosen), owner[key]))
    low, high = HU_RANGE
    grey = np.concatenate(hu).astype(np.float32) / 255 * (high - low) + low
    return SliceTable(np.rint(grey).astype(np.int16), np.concatenate(mask), np.concatenate(owners))


assert head_widths()["suspicion"] == N_SUSPICION_LEVELS
