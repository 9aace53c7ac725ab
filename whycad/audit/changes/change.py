"""A named change of an image, and the image that it is made to."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whycad.manifest import Manifest
from whycad.plugin import Plugin
from whycad.types import FloatArray, Region, Study
from whycad.whatif.artefacts import FoundArtefact, find_artefacts

BoolArray = NDArray[np.bool_]
Family = Literal["insert", "remove", "keep", "corrupt"]


@dataclass(frozen=True)
class Change:
    """What is done to an image; plain data, so that jobs may carry it.

    Attributes
    ----------
    family : {"insert", "remove", "keep", "corrupt"}
    kind : str
        Such as ``ruler``, ``background`` or ``noise``.
    strength : int
        1 to 5 where there are several; otherwise 0.
    sham : bool
        The control of the change of the same name.
    """

    family: Family
    kind: str
    strength: int = 0
    sham: bool = False

    @property
    def control(self) -> Change:
        """The sham of this change."""
        return replace(self, sham=True)


def row_seed(seed: int, row: int) -> int:
    """Return the seed of one row's changes."""
    return 1_000_003 * seed + row


@dataclass(frozen=True, eq=False)
class Canvas:
    """One case that is changed.

    Attributes
    ----------
    study : Study
    region : Region or None
    plugin : Plugin
    seed : int
        The audit's and the row's; what is drawn depends on it and on the change's name.
    look : callable
        Returns where the finding lies, on the study's spatial grid, or None.
    """

    study: Study
    region: Region | None
    plugin: Plugin
    seed: int = 0
    look: Callable[[], BoolArray | None] = field(default=lambda: None)

    @property
    def manifest(self) -> Manifest:
        """Of the task."""
        return self.plugin.manifest

    @cached_property
    def found(self) -> tuple[FoundArtefact, ...]:
        """Artefacts that are in the image already."""
        return find_artefacts(self.study, self.plugin)

    @cached_property
    def outline(self) -> BoolArray | None:
        """Where the finding lies."""
        return self.look()

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """Darkest and brightest value that a change may bring."""
        if self.study.unit in ("rgb", "normalised"):
            return 0.0, 1.0
        if self.study.unit == "HU":
            return self.manifest.input.value_range
        low, high = np.percentile(self.study.pixels, [0.5, 99.5])
        return float(low), float(max(high, low + 1e-6))

    def seed_of(self, change: Change) -> int:
        """Return the seed of a change of this case; the sham's is that of its change."""
        return zlib.crc32(f"{self.seed} {change.family} {change.kind}".encode())

    def with_pixels(self, pixels: FloatArray) -> Study:
        """Return the study with other pixels and a hash of its own."""
        kept = np.ascontiguousarray(pixels, np.float32)
        digest = hashlib.sha256(self.study.sha256.encode() + kept.tobytes()).hexdigest()
        return replace(self.study, pixels=kept, sha256=digest)


@dataclass(frozen=True, eq=False)
class Changed:
    """A changed copy.

    Attributes
    ----------
    study : Study
    region : Region or None
        Where the reader points in the changed image.
    share : float
        Share of the pixels that were changed.
    mask : ndarray of bool or None
        Those pixels, where there are some that were not.
    """

    study: Study
    region: Region | None
    share: float
    mask: BoolArray | None = None


def changed_within(canvas: Canvas, pixels: FloatArray, mask: BoolArray) -> Changed:
    """Return a copy that differs inside a mask on the study's spatial grid."""
    inside = mask[..., None] if canvas.study.is_colour else mask
    return Changed(
        canvas.with_pixels(np.where(inside, pixels, canvas.study.pixels)), canvas.region, float(mask.mean()), mask
    )
