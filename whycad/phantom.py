"""Simulated cases with a known answer: what every plugin's phantom returns.

A phantom serves the demo and the tests; whatever shows one says that it is simulated.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycad.errors import ImageError
from whycad.types import MetadataValue, Region, Study

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PhantomCase:
    """A simulated image and what is true of it.

    Attributes
    ----------
    study : Study
        With ``simulated`` set.
    mask : ndarray of bool
        Where the finding is, on the study's spatial grid.
    label : str
        Label code of the plugin's manifest.
    name : str
        Short title for a picker, unique among a plugin's samples.
    description : str
        One sentence: what is to be seen.
    artefacts : tuple of str
        Kinds of artefact in the image, in the manifest's words.
    region : Region or None
        Where a reader would point, for tasks that need to be told.
    """

    study: Study
    mask: BoolArray
    label: str
    name: str
    description: str
    artefacts: tuple[str, ...] = ()
    region: Region | None = None


class DeferredCase(PhantomCase):
    """A case whose image is rendered when ``study`` or ``mask`` is first asked for.

    Parameters
    ----------
    render : callable
        Gives the whole case; called at most once unless two threads ask at the same time,
        in which case both get equal images.
    label, name, description, artefacts, region
        As in `PhantomCase`; they are known without rendering and win over the rendered case's.
    """

    _render: Callable[[], PhantomCase]

    def __init__(
        self,
        render: Callable[[], PhantomCase],
        *,
        label: str,
        name: str,
        description: str,
        artefacts: tuple[str, ...] = (),
        region: Region | None = None,
    ) -> None:
        words = {"label": label, "name": name, "description": description}
        known = {**words, "artefacts": artefacts, "region": region}
        for key, value in {"_render": render, **known}.items():
            object.__setattr__(self, key, value)

    def __getattr__(self, name: str) -> object:
        if name not in ("study", "mask"):
            raise AttributeError(name)
        case = self._render()
        object.__setattr__(self, "study", case.study)
        object.__setattr__(self, "mask", case.mask)
        return getattr(case, name)

    def __repr__(self) -> str:
        return f"DeferredCase(name={self.name!r}, label={self.label!r})"


def colour_study(
    image: NDArray[np.uint8],
    *,
    spacing_mm: tuple[float, float] | None = None,
    modality: str = "XC",
    metadata: Mapping[str, MetadataValue] | None = None,
) -> Study:
    """Make a simulated colour study of an 8-bit image.

    Parameters
    ----------
    image : ndarray of uint8 (H, W, 3)
    spacing_mm : tuple of float or None
        Row and column spacing.
    modality : str
    metadata : mapping or None
        Allow-listed facts such as ``site``.

    Returns
    -------
    Study
        Pixels float32 in 0..1; ``sha256`` is that of the 8-bit pixel bytes.

    Raises
    ------
    ImageError
        When ``image`` is not 8-bit colour.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"a colour study needs a uint8 (H, W, 3) image, got {image.dtype} {image.shape}")
    return Study(
        pixels=image.astype(np.float32) / np.float32(255),
        modality=modality,
        sha256=hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(),
        unit="rgb",
        spacing_mm=spacing_mm,
        metadata=dict(metadata or {}),
        simulated=True,
    )


def to_png(case: PhantomCase) -> bytes:
    """Encode a case's image as an 8-bit PNG file, colour or grey.

    Raises
    ------
    ImageError
        When the pixels are not a single picture in 0..1.
    """
    study = case.study
    if study.unit not in ("rgb", "normalised") or len(study.spatial_shape) != 2:
        raise ImageError(
            f"phantom {case.name!r}: pixels of shape {study.pixels.shape} in unit {study.unit!r} are no 8-bit picture",
            remedy="write it as DICOM",
        )
    buffer = io.BytesIO()
    Image.fromarray(np.rint(np.clip(study.pixels, 0, 1) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
