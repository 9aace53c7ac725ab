"""Outlines of packs come on the grid of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from whycad.audit.data.pack_masks import pack_mask
from whycad.audit.data.packs import median_of_readers
from whycad.datasets.pack import Pack

IMAGES = np.zeros((2, 20, 28), np.uint8)


def pack(**arrays) -> Pack:
    return Pack(Path("p.npz"), {"images": IMAGES, **arrays})


def test_packed_bits_of_a_coarser_grid_become_blocks_of_pixels():
    coarse = np.zeros((2, 10, 14), bool)
    coarse[0, 2:5, 3:9] = True
    found = pack_mask(pack(lesion_mask_packed=np.packbits(coarse, axis=2)), 0)
    assert found is not None
    assert (found == np.kron(coarse[0], np.ones((2, 2), bool))).all()
    assert pack_mask(pack(lesion_mask_packed=np.packbits(coarse, axis=2)), 1) is None


def test_half_of_the_readers_who_drew_must_agree():
    drawn = np.zeros((2, 4, 20, 28), bool)
    drawn[0, 0, 2:6, 2:6] = drawn[0, 1, 4:8, 4:8] = drawn[0, 2, 4:8, 4:8] = True
    found = pack_mask(pack(reader_masks_packed=np.packbits(drawn.reshape(2, 4, -1), axis=-1)), 0)
    assert found is not None
    assert (found == drawn[0, 1]).all()


def test_an_outline_that_holds_the_border_is_left_out():
    mask = np.ones((2, 20, 28), np.uint8)
    mask[0, 5:9, 5:9] = 0
    mask[1] = 1 - mask[0]
    assert pack_mask(pack(mask=mask), 0) is None
    assert pack_mask(pack(mask=mask), 1) is not None


def test_votes_of_the_middle_slice():
    votes = np.zeros((5, 6, 7), np.uint8)
    votes[2, 2, 2:5] = [1, 2, 4]
    stacks = Pack(Path("p.npz"), {"vol": np.zeros((5, 6, 7), np.uint8), "offset": np.array([0, 5]), "votes": votes})
    found = pack_mask(stacks, 0)
    assert found is not None
    assert np.argwhere(found).tolist() == [[2, 3], [2, 4]]


def test_the_median_reader_leaves_out_those_who_said_nothing():
    values = np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan], [2.0, 4.0, 9.0]])
    found = median_of_readers(values)
    assert found[[0, 2]].tolist() == [2.0, 4.0]
    assert np.isnan(found[1])
