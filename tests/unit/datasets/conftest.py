"""Small packs, written on the spot."""

import io

import numpy as np
import pytest
from PIL import Image


def jpeg_of(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def noise(seed, shape=(24, 32, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def write_pack(tmp_path):
    """Write arrays as an ``.npz`` and return its path."""

    def write(name="pack.npz", **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


@pytest.fixture
def jpeg_arrays():
    """Return the arrays of a JPEG pack of n images, with more columns on request."""

    def arrays(files=3, **columns):
        if isinstance(files, int):
            files = [jpeg_of(noise(seed)) for seed in range(files)]
        offsets = np.r_[0, np.cumsum([len(file) for file in files])]
        data = np.frombuffer(b"".join(files), np.uint8)
        return {"jpeg": data, "jpeg_offsets": offsets.astype(np.int64), **columns}

    return arrays
