"""How well nodules are outlined: ``python -m plugins.lung_nodule.outline_figures --data DIR``.

Every nodule of the split ``val`` with readers' outlines, the click at its centre and 3 mm beside it, against
what at least half of its readers drew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from plugins.lung_nodule.card import OUTLINE_FIGURES
from plugins.lung_nodule.data import KEY_SLICES, LABELS, MALIGNANCY, STORED_SIDE, median_label
from plugins.lung_nodule.rows import consensus, read_row, reader_masks
from whycad.audit.outlines import Outlined, dice_of, outline_summary
from whycad.datasets.pack import Pack, read_pack
from whycad.files import write_whole
from whycad.inference import Ensemble, choose_device, load_members
from whycad.plugin import load_plugin
from whycad.reading import mean_outputs
from whycad.types import Region, Study

MOVED_MM = 3.0
SEED = 0
UNLABELLED = "indeterminate"


def outlined(pack: Pack, rows: NDArray[np.int64], ensemble: Ensemble, moved_mm: float = 0.0) -> Iterator[Outlined]:
    """Outline nodules, each clicked at its centre or ``moved_mm`` beside it in a random direction."""
    rng = np.random.default_rng(SEED)
    names = [str(name) for name in pack.arrays["attr_names"]]
    labels = median_label(pack.arrays["reader_attr"][rows][:, :, names.index(MALIGNANCY)].astype(np.int8))
    for row, label in zip(tqdm([int(row) for row in rows], unit="nodule", disable=None), labels, strict=True):
        true = consensus(reader_masks(pack.arrays["reader_masks_packed"][row], STORED_SIDE))
        study, region = read_row(pack, row)
        turn = rng.uniform(0, 2 * np.pi)
        if region is None or not true.any():
            continue
        drawn = _drawn(study, _moved(study, region, moved_mm, turn), ensemble)
        name = LABELS[label] if label >= 0 else UNLABELLED
        yield Outlined(dice_of(drawn, true), not drawn.any(), str(pack.arrays["patient"][row]), name)


def _moved(study: Study, region: Region, distance_mm: float, turn: float) -> Region:
    pixel = study.spacing_mm[-1] if study.spacing_mm is not None else 0.7
    step = distance_mm / pixel
    return Region((region.start[0] + step * np.sin(turn), region.start[1] + step * np.cos(turn)))


def _drawn(study: Study, region: Region, ensemble: Ensemble) -> NDArray[np.bool_]:
    inputs = ensemble.plugin.preprocess(study, region)
    outputs = {name: array[0] for name, array in mean_outputs([inputs], ensemble).items()}
    found = ensemble.plugin.evidence(study, inputs, outputs).segmentations
    return found[0].mask if found else np.zeros(study.spatial_shape, bool)


def main() -> None:
    """Write the figures that the card states."""
    parser = argparse.ArgumentParser(description="Dice of the nodule outline on LIDC-IDRI's val split.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name(OUTLINE_FIGURES), metavar="OUT.json")
    args = parser.parse_args()
    plugin = load_plugin(Path(__file__).parent)
    ensemble = load_members(plugin, choose_device("cpu"))
    pack = read_pack(args.data / KEY_SLICES)
    rows, names = pack.rows("val"), (*LABELS, UNLABELLED)
    content = {
        "dataset": "LIDC-IDRI key slices",
        "split": "val",
        "weights_sha256": plugin.weights_sha256,
        "centre": outline_summary(list(outlined(pack, rows, ensemble)), names),
        "moved_3_mm": outline_summary(list(outlined(pack, rows, ensemble, MOVED_MM)), names),
    }
    write_whole(args.out, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
