"""Views of a patch and scales of a view: what the shared encoder sees.

A patch ``(n, 25, 96, 96)`` gives up to three planes through its centre: axial, coronal and
sagittal. Each becomes a 96 x 96 plane of 0.6 mm pixels, and each plane is read at two scales: its
central half as it is, and the whole at half the resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from plugins.lung_nodule.grid import KNOWN_ABOVE, MIDDLE, SENTINEL, SHAPE, SPACING_MM

SIDE = SHAPE[1]
SCALE_SIDE = SIDE // 2
N_SCALES = 2
AXIAL, CORONAL, SAGITTAL = range(3)
# 40 mm in rows of 0.6 mm, an even number of them.
STRIP_ROWS = 2 * round(SHAPE[0] * SPACING_MM[0] / SPACING_MM[1] / 2)
MARGIN = (SIDE - STRIP_ROWS) // 2


def strip_to_plane(strip: Tensor) -> Tensor:
    """Bring a strip of slices ``(n, 25, 96)`` to a plane ``(n, 96, 96)`` of square pixels.

    What lies above and below the strip is not known and holds the sentinel.
    """
    grown = F.interpolate(strip[:, None], (STRIP_ROWS, SIDE), mode="bilinear", align_corners=False)[:, 0]
    return F.pad(grown, (0, 0, MARGIN, MARGIN), value=SENTINEL)


def volume_known(patch: Tensor) -> Tensor:
    """Tell which patches ``(n, 25, 96, 96)`` are known from end to end along the slices; bool ``(n,)``."""
    half = SIDE // 2
    column = patch[:, :, half - 1 : half + 1, half - 1 : half + 1].amax(dim=(2, 3))
    return torch.as_tensor((column > KNOWN_ABOVE).all(dim=1))


def planes_of(patch: Tensor) -> tuple[Tensor, Tensor]:
    """Cut a patch into its views.

    Parameters
    ----------
    patch : Tensor (n, 25, 96, 96)

    Returns
    -------
    planes : Tensor (n, v, 96, 96)
        Axial, coronal, sagittal; axial alone (v = 1) where no patch of the batch is a volume.
    weights : Tensor (n, v)
        What share each view has in the mean: 0 for one that is not known, adding up to 1.
    """
    axial = patch[:, MIDDLE]
    known = volume_known(patch)
    if not bool(known.any()):
        return axial[:, None], torch.ones_like(axial[:, :1, 0])
    half = SIDE // 2
    coronal = strip_to_plane(patch[:, :, half - 1 : half + 1].mean(dim=2))
    sagittal = strip_to_plane(patch[..., half - 1 : half + 1].mean(dim=3))
    counted = torch.stack([torch.ones_like(known), known, known], dim=1).to(patch.dtype)
    return torch.stack([axial, coronal, sagittal], dim=1), counted / counted.sum(dim=1, keepdim=True)


def scales_of(planes: Tensor) -> Tensor:
    """Read planes ``(m, 96, 96)`` at both scales: ``(2, m, 1, 48, 48)``, the fine one first."""
    start = (SIDE - SCALE_SIDE) // 2
    fine = planes[:, start : start + SCALE_SIDE, start : start + SCALE_SIDE]
    coarse = F.avg_pool2d(planes[:, None], 2)[:, 0]
    return torch.stack([fine, coarse])[:, :, None]


def join_scales(masks: Tensor) -> Tensor:
    """Join per-scale masks ``(2, m, 48, 48)`` to one ``(m, 96, 96)``: the fine one where it reaches."""
    whole = F.interpolate(masks[1][:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    start = (SIDE - SCALE_SIDE) // 2
    inner = F.pad(masks[0], (start,) * 4)
    frame = F.pad(torch.ones_like(masks[0]), (start,) * 4)
    return torch.where(frame > 0, inner, whole)
