"""Small real plugins that read volumes: whole patches of them, or slice by slice."""

from __future__ import annotations

import numpy as np

from whycad.testing.plugins import TinyPlugin
from whycad.types import Study

VOLUME_MODEL = '''
from whycad.testing.tiny_net import TinyVolumeNet


def build_model():
    """Build one untrained member."""
    return TinyVolumeNet({channels}, {n_labels})
'''

# What lies outside the image holds one value, in the array and in the baseline: it is never hidden.
VOLUME_PREPROCESS = '''
"""A patch about the region, one voxel per source voxel; -2 where there is no image."""

import numpy as np

from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import ModelInput

SHAPE = {shape}


def preprocess(study, region=None):
    """Cut the patch; a single image is a volume of one slice."""
    volume = study.pixels if study.pixels.ndim == 3 else study.pixels[None]
    centre = np.array(volume.shape) / 2
    if region is not None:
        stop = region.start if region.stop is None else region.stop
        point = (np.array(region.start) + np.array(stop)) / 2 + 0.5
        centre = np.concatenate([centre[: 3 - len(point)], point])
    start = np.floor(centre - np.array(SHAPE) / 2)
    geometry = resize_geometry(volume.shape, SHAPE, [*start, *(start + SHAPE)])
    known = np.ones(SHAPE, bool)
    for axis, side in enumerate(volume.shape):
        inside = (np.arange(SHAPE[axis]) + start[axis] >= 0) & (np.arange(SHAPE[axis]) + start[axis] < side)
        known &= inside.reshape([-1 if a == axis else 1 for a in range(3)])
    array = np.where(known, sample_to_model(volume, geometry)[0] * 2 - 1, -2.0)
    baseline = np.where(known, -1.0, -2.0)
    return ModelInput(array[None].astype(np.float32), geometry, baseline[None].astype(np.float32))
'''

PATCHES = TinyPlugin(
    id="patches", title="Tiny volume task", shape=(6, 20, 24), colour=False, model=VOLUME_MODEL,
    preprocess=VOLUME_PREPROCESS,
)  # fmt: skip
SLICES = TinyPlugin(id="slices", title="Tiny slice task", colour=False, input="per_slice = true\n")


def make_volume(shape: tuple[int, int, int] = (9, 40, 44), *, seed: int = 0) -> Study:
    """Return a volume with a seeded bright ball on noise, pixels in 0..1."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.arange(side) for side in shape), indexing="ij")
    centre = rng.uniform(0.35, 0.65, 3) * shape
    distance2 = sum(((axis - c) / (side / 6)) ** 2 for axis, c, side in zip(grid, centre, shape, strict=True))
    pixels = np.clip(0.2 + 0.6 * np.exp(-distance2 / 2) + rng.normal(0, 0.02, shape), 0, 1)
    return Study(
        pixels.astype(np.float32), "OT", f"{seed:064x}", spacing_mm=(2.5, 0.7, 0.7), simulated=True
    )  # fmt: skip
