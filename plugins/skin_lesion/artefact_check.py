"""How well artefacts are found: ``python -m plugins.skin_lesion.artefact_check --data DIR``.

Counts sensitivity and false alarms on the annotated training rows of ISIC 2017 (Bissoto 2020). The
rows are halved by group: thresholds were chosen on ``tune``, and ``check`` was looked at
afterwards. Writes ``artefact-figures.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plugins.skin_lesion.artefact_finding import DETECTORS, find
from plugins.skin_lesion.data import isic_training_rows
from whycad.datasets.pack import Pack, read_pack
from whycad.errors import WhyCadError
from whycad.files import write_whole

NAMES = tuple(detector.__name__ for detector in DETECTORS)
STORED_SHAPE = (192, 256)
HALVES = ("tune", "check")


def half_of(group: str) -> str:
    """Return the half that a group is in; a hash of its name, so that it never changes."""
    return HALVES[zlib.crc32(group.encode()) % 2]


def found_names(pack: Pack, rows: NDArray[np.int64]) -> list[set[str]]:
    """Return the artefacts found in each row; ISIC 2017's squashed squares regain 4:3."""
    names = []
    for image in pack.images(rows):
        picture = Image.fromarray(np.asarray(image, np.uint8)).resize(STORED_SHAPE[::-1], Image.Resampling.BILINEAR)
        names.append({item.name for item in find(np.asarray(picture, np.float32) / np.float32(255))})
    return names


def figures(marked: NDArray[np.bool_], found: NDArray[np.bool_]) -> dict[str, float | int]:
    """Return sensitivity and false-alarm rate, with the numbers they are of."""
    return {
        "n_with": int(marked.sum()),
        "n_without": int((~marked).sum()),
        "sensitivity": round(float(found[marked].mean()), 3),
        "false_alarms": round(float(found[~marked].mean()), 3),
    }


def check(data: Path) -> dict[str, object]:
    """Measure every detector on both halves."""
    pack = read_pack(data / "skin" / "isic2017.npz")
    rows = isic_training_rows(pack)
    marks = pack.arrays["artefacts"].astype(np.int64)
    rows = rows[(marks[rows] >= 0).all(axis=1)]
    names = [str(name) for name in pack.arrays["artefact_names"]]
    half = np.array([half_of(str(group)) for group in pack.arrays["group_id"][rows]])
    found = found_names(pack, rows)
    result: dict[str, object] = {"dataset": "ISIC 2017 train, artefact labels of Bissoto 2020"}
    for part in HALVES:
        mine = half == part
        result[part] = {
            name: figures(
                marks[rows[mine], names.index(name)] == 1,
                np.array([name in item for item, kept in zip(found, mine, strict=True) if kept]),
            )
            for name in NAMES
        }
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="artefact_check", description="Measure the artefact detectors.")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of image packs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "artefact-figures.json")
    args = parser.parse_args(arguments)
    try:
        result = check(args.data)
        write_whole(args.out, json.dumps(result, indent=1) + "\n")
    except WhyCadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(result["check"], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
