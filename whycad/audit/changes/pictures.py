"""Pictures of changed images for the audit's own folder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycad.audit.context import AuditContext
from whycad.audit.findings import Picture
from whycad.imaging.display import default_window, to_uint8
from whycad.types import Study

LARGEST_SIDE = 256


def picture_of(study: Study, window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return what is shown of a study: the image, or a volume's middle slice."""
    shown = to_uint8(study, window or default_window(study))
    return shown if len(study.spatial_shape) == 2 else np.asarray(shown[len(shown) // 2])


def save_picture(context: AuditContext, check: str, name: str, image: NDArray[np.uint8], caption: str, case: str) -> Picture:
    """Write a picture, at most 256 pixels a side, below the audit's folder.

    Parameters
    ----------
    context : AuditContext
    check, name : str
        The file is ``pictures/<check>/<name>.png``.
    image : ndarray of uint8 (H, W) or (H, W, 3)
    caption, case : str
    """
    file = f"pictures/{check}/{name}.png"
    path = context.out / file
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = Image.fromarray(np.ascontiguousarray(image))
    shown.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    shown.save(path, "PNG")
    return Picture(file=file, caption=caption, case=case)


def enlarged(image: NDArray[np.uint8], side: int = 128) -> NDArray[np.uint8]:
    """Repeat a small map's cells so that they can be seen."""
    factor = max(1, side // max(image.shape[:2]))
    return np.asarray(np.repeat(np.repeat(image, factor, axis=0), factor, axis=1), np.uint8)
