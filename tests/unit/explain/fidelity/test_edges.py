"""The edge detector: nothing on flat ground, most on a step, blind to axes of one pixel."""

import numpy as np
from skimage.filters import sobel

from whycad.explain.fidelity.edges import edge_map


def test_a_step_is_an_edge_and_flat_ground_is_not():
    image = np.zeros((9, 12), np.float32)
    image[:, 6:] = 2
    found = edge_map(image)
    assert set(np.flatnonzero(found.any(axis=0))) == {5, 6}
    assert not edge_map(np.full((9, 12), 3, np.float32)).any()


def test_it_is_the_sobel_magnitude():
    image = np.random.default_rng(0).random((10, 14)).astype(np.float32)
    ours, theirs = edge_map(image)[1:-1, 1:-1], sobel(image.astype(float))[1:-1, 1:-1]
    np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), atol=1e-6)


def test_a_single_plane_of_a_volume_is_an_image():
    image = np.random.default_rng(0).random((10, 14)).astype(np.float32)
    np.testing.assert_allclose(edge_map(image[None])[0], edge_map(image))
