"""How well lesions are outlined: ``python -m plugins.skin_lesion.outline_figures --data DIR``.

The split ``val`` is outlined as it is and re-cropped, so that lesions do not lie in the middle. ISIC 2017's
pack has no masks, so there is no outside set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plugins.skin_lesion.card import OUTLINE_FIGURES
from plugins.skin_lesion.data import LABELS, unpack_masks, upright_masks
from plugins.skin_lesion.outline import Mask, lesion_mask
from plugins.skin_lesion.preprocess import preprocess
from whycad.audit.lesion_focus import CropOptions, enlarged_mask, random_crop
from whycad.audit.outlines import Outlined, dice_of, outline_summary
from whycad.datasets.pack import Pack, read_pack
from whycad.errors import PluginError
from whycad.evidence_model import EvidenceModel, load_evidence_model
from whycad.files import write_whole
from whycad.imaging.geometry import map_to_source
from whycad.plugin import load_plugin
from whycad.types import FloatArray, Study

CROP_SEED = 0


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
        "whole": outline_summary(list(outlined(pack, pack.rows("val"), draw, cropped=False)), LABELS),
        "cropped": outline_summary(list(outlined(pack, pack.rows("val"), draw, cropped=True)), LABELS),
    }
    write_whole(args.out, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
