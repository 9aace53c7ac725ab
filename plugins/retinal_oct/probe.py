"""Linear probes for the known shortcuts, on the image and on what the network sees instead.

``python -m plugins.retinal_oct.probe --data ../shared/data`` writes the figures that the card states.
Probes are fitted on three contiguous parts of the train split and tested on the fourth, in turn.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plugins.retinal_oct.card import PROBES
from plugins.retinal_oct.data import KERMANY, grey, training_rows
from plugins.retinal_oct.preprocess import level
from whycad.datasets.pack import Pack, read_pack
from whycad.files import write_whole
from whycad.types import FloatArray

SEEN = (28, 48)
FOLDS = (0, 1, 2, 3)
# White corners: images with next to none against images with plenty.
LITTLE_WHITE, MUCH_WHITE = 0.002, 0.03


@dataclass(frozen=True, eq=False)
class Question:
    """Something a probe is asked about some images.

    Attributes
    ----------
    name : str
    answers : ndarray of bool (n,)
    asked : ndarray of bool (n,)
        Images that the question is put to.
    planted : bool
        Whether a white corner is put into the images whose answer is yes.
    """

    name: str
    answers: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    planted: bool = False


def questions(pack: Pack, rows: NDArray[np.int64], seed: int = 0) -> tuple[Question, ...]:
    """Return the known shortcuts and a planted one."""
    width, height = (pack.arrays["orig_size"][rows, axis] for axis in (0, 1))
    normal = np.array([pack.label_name(int(row)) == "NORMAL" for row in rows])
    white = pack.arrays["white_frac"][rows].astype(np.float64)
    everyone = np.ones(len(rows), bool)
    drawn = np.random.default_rng(seed).random(len(rows)) < 0.5
    return (
        Question("512 x 512 source, among normal scans", height == 512, normal & (width == 512)),
        Question("source wider than 512", width > 512, everyone),
        Question("white fill", white > MUCH_WHITE, (white < LITTLE_WHITE) | (white > MUCH_WHITE)),
        Question("white corner, planted in one half", drawn, everyone, planted=True),
    )


def with_corner(image: FloatArray) -> FloatArray:
    """Put a white wedge of a fifth of the sides into the upper right corner of the scan itself."""
    rows, columns = np.indices(image.shape)
    lit = np.flatnonzero(np.percentile(image, 98, axis=1) > 0.03)
    top = int(lit[0]) if len(lit) else 0
    inside = (rows >= top) & ((rows - top) / image.shape[0] < 0.2 - (image.shape[1] - 1 - columns) / image.shape[1])
    return np.where(inside, np.float32(1.0), image)


def _reduced(image: FloatArray) -> FloatArray:
    factors = [seen / side for seen, side in zip(SEEN, image.shape, strict=True)]
    smooth = ndimage.gaussian_filter(image, [0.5 / factor for factor in factors])
    return np.asarray(ndimage.zoom(smooth, factors, order=1, grid_mode=True, mode="nearest"), np.float32)


def probe(features: FloatArray, answers: NDArray[np.bool_], folds: NDArray[np.int64]) -> float:
    """Return the AUROC of a linear probe, each image's score from parts that lack it."""
    scores = np.zeros(len(answers))
    for fold in FOLDS:
        inside = folds == fold
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=300))
        scores[inside] = model.fit(features[~inside], answers[~inside]).decision_function(features[inside])
    return float(np.mean([roc_auc_score(answers[folds == f], scores[folds == f]) for f in FOLDS]))


def run(data: Path, step: int = 1) -> list[tuple[str, int, float, float]]:
    """Return name, number of images, and AUROC on the image and on the network's input, per question."""
    pack = read_pack(data / KERMANY)
    rows = training_rows(pack)[::step]
    folds = pack.arrays["fold5"][rows].astype(np.int64)
    plain = [grey(pack, int(row)) for row in rows]
    before = np.stack([_reduced(image).ravel() for image in plain])
    after = np.stack([_reduced(level(image)[0]).ravel() for image in plain])
    found = []
    for question in questions(pack, rows):
        raw, seen = before, after
        if question.planted:
            raw, seen = before.copy(), after.copy()
            for index in np.flatnonzero(question.answers):
                marked = with_corner(plain[index])
                raw[index], seen[index] = _reduced(marked).ravel(), _reduced(level(marked)[0]).ravel()
        asked = question.asked
        first, second = (probe(array[asked], question.answers[asked], folds[asked]) for array in (raw, seen))
        found.append((question.name, int(asked.sum()), first, second))
    return found


def main() -> None:
    """Write the figures that the card states."""
    parser = argparse.ArgumentParser(description="Linear probes for the known shortcuts, before and after.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name(PROBES), metavar="OUT.json")
    args = parser.parse_args()
    found = [
        {"name": name, "n": n, "before": round(before, 3), "after": round(after, 3)}
        for name, n, before, after in run(args.data)
    ]
    write_whole(args.out, json.dumps({"probes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
