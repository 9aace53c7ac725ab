"""Cases on which maps are tested: outlined by people, of the right part of the data, the same for a seed."""

import numpy as np
import pytest

from whycad.datasets.pack import read_pack
from whycad.masked_cases import masked_cases
from whycad.registry import discover

PACKS = {"skin_lesion": "skin/ham10000.npz", "lung_nodule": "lung/lidc_key_slices.npz"}


def cases(task, data, part, n=4, seed=0):
    return list(masked_cases(discover().get(task), data, part, n, seed))


@pytest.mark.data
@pytest.mark.parametrize("task", [*PACKS, "retinal_oct"])
def test_parts_share_no_group_and_outlines_fit_their_images(task, data_dir):
    held_out, calibration = (cases(task, data_dir, part, 6) for part in ("report", "calibration"))
    assert len(held_out) == len(calibration) == 6
    assert not {case.group for case in held_out} & {case.group for case in calibration}
    outlined = [case for case in (*held_out, *calibration) if case.mask is not None]
    assert len(outlined) >= 3
    for case in outlined:
        assert case.mask.shape == case.study.spatial_shape
        assert case.mask.any()
        assert not case.mask.all()
        assert case.of in ("lesion", "nodule", "fluid")


@pytest.mark.data
@pytest.mark.parametrize("task", list(PACKS))
def test_they_come_from_the_split_that_they_say(task, data_dir):
    pack = read_pack(data_dir / PACKS[task])
    for part, split in (("report", "val"), ("calibration", "train")):
        groups = {pack.group(int(row)) for row in pack.rows(split)}
        assert {case.group for case in cases(task, data_dir, part)} <= groups


def test_liver_cases_are_simulated_and_fixed_by_the_seed(tmp_path):
    first, again, other = (cases("liver_fibrosis", tmp_path, "report", 2, seed) for seed in (0, 0, 1))
    assert all(case.study.simulated and case.of == "liver" for case in first)
    assert [case.study.sha256 for case in first] == [case.study.sha256 for case in again]
    assert {case.study.sha256 for case in first}.isdisjoint(case.study.sha256 for case in other)
    calibration = cases("liver_fibrosis", tmp_path, "calibration", 2)
    assert {case.study.sha256 for case in first}.isdisjoint(case.study.sha256 for case in calibration)
    assert all(np.asarray(case.mask).any() for case in calibration)
