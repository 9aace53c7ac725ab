"""How well lesions are outlined: ``python -m plugins.skin_lesion.outline_figures --data DIR``.

The split ``val`` is outlined as it is and re-cropped, so that lesions do not lie in the middle. ISIC 2017's
pack has no masks, so there is no outside set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plugins.skin_lesion.card import OUTLINE_FIGURES
from plugins.skin_lesion.data import LABELS, unpack_masks, upright_masks
from plugins.skin_lesion.outline import Mask, lesion_mask
from plugins.skin_lesion.preprocess import preprocess
from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.audit.lesion_focus import CropOptions, enlarged_mask, random_crop
from whycad.datasets.pack import Pack, read_pack
from whycad.errors import PluginError
from whycad.evidence_model import EvidenceModel, load_evidence_model
from whycad.files import write_whole
from whycad.imaging.geometry import map_to_source
from whycad.plugin import load_plugin
from whycad.types import FloatArray, JsonObject, Study

GOOD = 0.85
CROP_SEED = 0


@dataclass(frozen=True)
class Outlined:
    """One image's result.

    Attributes
    ----------
    dice : float
        0 where nothing was outlined.
    empty : bool
    group, label : str
    """

    dice: float
    empty: bool
    group: str
    label: str


def dice_of(drawn: Mask, true: Mask) -> float:
    """Return twice the common area over the sum of areas (Dice 1945), 0..1."""
    return 2 * float((drawn & true).sum()) / max(float(drawn.sum() + true.sum()), 1.0)


def drawn_by(model: EvidenceModel) -> Callable[[FloatArray], Mask]:
    """Return what outlines an image ``(H, W, 3)`` in 0..1 as the evidence does."""

    def draw(pixels: FloatArray) -> Mask:
        inputs = preprocess(Study(pixels, "OT", "0" * 64, "rgb"), None)
        probability = model.run(torch.from_numpy(inputs.array[None]))["mask"][0, 0]
        kept = np.where(lesion_mask(probability), probability, 0).astype(np.float32)
        return np.asarray(map_to_source(kept, inputs.geometry) > 0.5, bool)

    return draw


def outlined(
    pack: Pack, rows: NDArray[np.int64], draw: Callable[[FloatArray], Mask], *, cropped: bool
) -> Iterator[Outlined]:
    """Outline the images of ``rows``; those that cannot be re-cropped are left out of the cropped ones."""
    masks, rng = unpack_masks(pack), np.random.default_rng(CROP_SEED)
    for row in rows:
        image = np.asarray(pack.image(int(row)))
        true = enlarged_mask(upright_masks(masks[row : row + 1], image[None])[0].astype(bool), image.shape[:2])
        box = random_crop(true, rng, CropOptions()) if cropped else (0, 0, *true.shape)
        if box is None:
            continue
        part = (slice(box[0], box[2]), slice(box[1], box[3]))
        found = draw(image[part].astype(np.float32) / np.float32(255))
        label = LABELS[int(pack.arrays["y"][row])]
        yield Outlined(dice_of(found, true[part]), not found.any(), pack.group(int(row)), label)


def summary(cases: list[Outlined]) -> JsonObject:
    """Return mean, median and shares with 95 % intervals over lesion groups, and the mean by class."""
    dice = np.array([case.dice for case in cases])
    labels = np.array([case.label for case in cases])
    empty = np.array([case.empty for case in cases])
    statistics: dict[str, Statistic] = {
        "dice_mean": _mean(dice),
        "dice_above_85": _mean((dice >= GOOD).astype(float)),
        "without_outline": _mean(empty.astype(float)),
        **{f"dice_mean_{code}": _mean(dice, labels == code) for code in LABELS},
    }
    bootstrap = GroupBootstrap([case.group for case in cases])
    found = bootstrap.estimate(statistics)
    counts = {code: int((labels == code).sum()) for code in LABELS}
    figures = {name: _rounded(estimate) for name, estimate in found.items()}
    quartiles = [round(float(q), 4) for q in np.percentile(dice, [25, 50, 75])]
    return {"n": len(cases), "n_groups": bootstrap.n_groups, "counts": counts, "dice_quartiles": quartiles, **figures}


def _mean(values: NDArray[np.float64], keep: NDArray[np.bool_] | None = None) -> Statistic:
    chosen = np.ones(len(values), bool) if keep is None else keep

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = weights[:, chosen]
        total = inside.sum(axis=1)
        return np.asarray(np.where(total > 0, inside @ values[chosen] / np.maximum(total, 1), np.nan), np.float64)

    return statistic


def _rounded(estimate: Estimate) -> JsonObject:
    interval = None if estimate.interval is None else [round(end, 4) for end in estimate.interval]
    return {"value": round(estimate.value, 4) if np.isfinite(estimate.value) else None, "interval": interval}


def main() -> None:
    """Write the figures that the card states."""
    parser = argparse.ArgumentParser(description="Dice of the lesion outline on HAM10000's val split.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name(OUTLINE_FIGURES), metavar="OUT.json")
    args = parser.parse_args()
    plugin = load_plugin(Path(__file__).parent)
    model, declared = load_evidence_model(plugin, torch.device("cpu")), plugin.manifest.evidence_model
    if model is None or declared is None:
        raise PluginError(f"{plugin.label}: plugin.toml names no evidence model", remedy="train the outline first")
    pack, draw = read_pack(args.data / "skin" / "ham10000.npz"), drawn_by(model)
    content = {
        "dataset": "HAM10000",
        "split": "val",
        "evidence_model_sha256": declared.sha256,
        "whole": summary(list(outlined(pack, pack.rows("val"), draw, cropped=False))),
        "cropped": summary(list(outlined(pack, pack.rows("val"), draw, cropped=True))),
    }
    write_whole(args.out, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
