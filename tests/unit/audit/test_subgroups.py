"""Subgroups, in the vocabulary that the stored figures are looked up with."""

import numpy as np
import pytest

from whycad.audit.subgroups import age_band, subgroup_masks, subgroup_value
from whycad.performance import Subgroup


@pytest.mark.parametrize(
    ("age", "band"), [(0, "<40"), (39.9, "<40"), (40, "40-59"), (59.5, "40-59"), (60, "60+"), (85, "60+")]
)
def test_a_patient_is_found_again_in_the_band_of_the_age(age, band):
    assert age_band(age) == band
    assert Subgroup(field="age_years", value=band).holds({"age_years": age})


@pytest.mark.parametrize(("word", "sex"), [("female", "female"), ("F", "female"), ("M", "male"), ("other", "other")])
def test_sexes_have_one_name_each(word, sex):
    assert subgroup_value("sex", word) == sex


def test_masks_leave_out_what_is_not_known():
    metadata = [{"sex": "male", "age_years": 30.0}, {"sex": "female"}, {}, {"sex": "F", "age_years": 61.0}]
    found = {(field, value): mask.tolist() for field, value, mask in subgroup_masks(metadata)}
    assert found == {
        ("sex", "female"): [False, True, False, True],
        ("sex", "male"): [True, False, False, False],
        ("age_years", "60+"): [False, False, False, True],
        ("age_years", "<40"): [True, False, False, False],
    }


def test_nothing_known_gives_no_subgroups():
    assert list(subgroup_masks([])) == []
    assert list(subgroup_masks([{}, {}])) == []
    assert all(mask.dtype == np.bool_ for _, _, mask in subgroup_masks([{"site": "back"}]))
