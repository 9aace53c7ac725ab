"""Cases on which maps are judged: HAM10000 lesions, cropped so that they lie at a random place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.skin_lesion.data import CALIBRATION_FOLD, FOLD_SEED, N_FOLDS, unpack_masks, upright_masks
from whycad.audit.lesion_focus import CropOptions, enlarged_mask, random_crop
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.splits import grouped_folds
from whycad.masked_cases import MaskedCase, Part
from whycad.types import Study

PACK = Path("skin") / "ham10000.npz"


def masked_cases(data: Path, part: Part, n: int, seed: int) -> Iterator[MaskedCase]:
    """Yield re-cropped lesions with their masks: of the calibration fold, or of ``val``."""
    pack = read_pack(data / PACK)
    masks = unpack_masks(pack)
    rng = np.random.default_rng(seed)
    left = n
    for row in rng.permutation(_rows(pack, part)):
        image = np.asarray(pack.image(int(row)), np.uint8)
        upright = upright_masks(masks[row : row + 1], image[None])[0]
        mask = enlarged_mask(upright.astype(bool), (image.shape[0], image.shape[1]))
        box = random_crop(mask, rng, CropOptions())
        if box is None:
            continue
        where = (slice(box[0], box[2]), slice(box[1], box[3]))
        yield MaskedCase(
            _study(image[where]), pack.group(int(row)), mask=mask[where], of="lesion", called="re-cropped cases"
        )
        left -= 1
        if left == 0:
            return


def _rows(pack: Pack, part: Part) -> NDArray[np.int64]:
    if part == "report":
        return pack.rows("val")
    rows = pack.rows("train")
    labels = pack.arrays["y"][rows].astype(np.int64)
    folds = grouped_folds(labels, pack.arrays["group_id"][rows], N_FOLDS, seed=FOLD_SEED)
    return np.asarray(rows[folds == CALIBRATION_FOLD], np.int64)


def _study(image: NDArray[np.uint8]) -> Study:
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return Study(np.ascontiguousarray(image, np.float32) / np.float32(255), "XC", digest, "rgb")
