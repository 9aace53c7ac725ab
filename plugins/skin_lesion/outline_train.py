"""Training of the lesion outline: ``python -m plugins.skin_lesion.outline_train --data DIR --out DIR``.

The classifier's members and their calibration stay as they are. The calibration fold is left out here
too, so that measurements on it are those of unseen images.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.skin_lesion.data import CALIBRATION_FOLD, LesionTable, ham_table
from plugins.skin_lesion.model import MEAN, STD
from plugins.skin_lesion.outline_model import build_outline_model
from plugins.skin_lesion.preprocess import INPUT_SHAPE
from whycad.training.augment import AugmentConfig, cut_out, jitter_colour, random_affine
from whycad.training.fit import FitConfig, fit
from whycad.training.package import write_member

WEIGHTS = Path(__file__).parent / "weights" / "outline.safetensors"
# Wide shifts and zooms: lesions lie anywhere, at any size, and may be cut by the border.
AUGMENT = AugmentConfig(scale=(0.7, 2.0), shift=0.6, brightness=0.3, contrast=0.3, saturation=0.3, cutout=0.15)
FIT = FitConfig(cycles=(8,), batch_size=32, learning_rate=3e-3, weight_decay=0.02, ema_decay=0.995)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return one minus the mean soft Dice of ``(n, H, W)`` (Milletari 2016); 0..1."""
    shares = torch.sigmoid(logits)
    both = (shares * targets).sum(dim=(1, 2))
    sizes = shares.sum(dim=(1, 2)) + targets.sum(dim=(1, 2))
    return 1 - ((2 * both + 1) / (sizes + 1)).mean()


class OutlineLoss:
    """Binary cross-entropy plus soft Dice of an augmented batch."""

    def __init__(self, table: LesionTable, device: torch.device) -> None:
        self.images = torch.from_numpy(table.images).to(device)
        self.masks = torch.from_numpy(table.masks).to(device)
        self.mean, self.std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))

    def __call__(self, model: nn.Module, rows: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the loss of one augmented batch."""
        images, masks = self._batch(rows, generator)
        logits = model(images).float()
        return F.binary_cross_entropy_with_logits(logits, masks) + dice_loss(logits, masks)

    def _batch(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        with torch.autocast(rows.device.type, enabled=False):
            images = self.images[rows].permute(0, 3, 1, 2).float() / 255
            masks = self.masks[rows][:, None].float()
            height, width = images.shape[-2:]
            theta = random_affine(len(rows), height, width, AUGMENT, generator)
            grid = F.affine_grid(theta, [len(rows), 3, *INPUT_SHAPE], align_corners=False)
            images, masks = (
                F.grid_sample(x, grid, padding_mode="reflection", align_corners=False) for x in (images, masks)
            )
            images = cut_out(jitter_colour(images, AUGMENT, generator), AUGMENT.cutout, generator)
            normalised = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return normalised, masks[:, 0]


def train_outline(data: Path, out: Path, device: str, config: FitConfig = FIT) -> Path:
    """Train on HAM10000's ``train`` split less the calibration fold; resumes in ``out``.

    Returns
    -------
    Path
        The finished safetensors file under ``out``.
    """
    table = ham_table(data / "skin" / "ham10000.npz", "train")
    table = table.select(table.fold != CALIBRATION_FOLD)
    weights = np.ones(len(table.labels))
    place = torch.device(device)
    states = fit(build_outline_model, OutlineLoss(table, place), weights, out, config, place)
    target = out / WEIGHTS.name
    digest = write_member(states[-1], target)
    logging.getLogger(__name__).info("%s, SHA-256 %s", target.name, digest)
    return target


def main() -> None:
    """Train, and with ``--install`` copy the weights here; their hash belongs into plugin.toml."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--install", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    finished = train_outline(args.data, args.out, args.device)
    if args.install:
        shutil.copyfile(finished, WEIGHTS)


if __name__ == "__main__":
    main()
