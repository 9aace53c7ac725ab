"""Measurements are those of the phantom, in millimetres where spacing is known; fluid lies where it was drawn."""

from dataclasses import replace

import numpy as np
import pytest

from plugins.retinal_oct.evidence import borders_of, evidence, fluid_share, measure_rows
from plugins.retinal_oct.layers import Borders
from plugins.retinal_oct.phantom import N_FRAMES, SAMPLES, frame_options, make_case, sample_cases
from plugins.retinal_oct.preprocess import preprocess

NOTHING = {"fluid": np.zeros((56, 96), np.float32), "unusual": np.zeros((14, 24), np.float32)}


def case(name):
    return make_case(next(sample for sample in SAMPLES if sample.name == name))


def measured(study, outputs=NOTHING):
    found = evidence(study, preprocess(study, None), outputs)
    return {item.name: item for item in found.measurements}, found.segmentations


@pytest.fixture(scope="module")
def normal():
    return case("Normal macula").study


def test_thickness_is_in_millimetres_where_spacing_is_known(normal):
    found, _ = measured(normal)
    thickness = found["Retina, median thickness"]
    assert thickness.unit == "mm"
    assert thickness.value == pytest.approx(0.30, abs=0.05)
    assert found["Retina, thinnest place"].value < thickness.value - 0.05


def test_thickness_is_in_pixels_where_it_is_not(normal):
    found, _ = measured(replace(normal, spacing_mm=None))
    thickness = found["Retina, median thickness"]
    assert thickness.unit == "px"
    assert "spacing is unknown" in thickness.method
    assert thickness.value == pytest.approx(0.30 / normal.spacing_mm[0], rel=0.15)


def test_drusen_lift_the_pigment_epithelium(normal):
    name = "Pigment epithelium, largest elevation"
    healthy, drusen = measured(normal)[0][name].value, measured(case("Drusen").study)[0][name].value
    detached = measured(case("Neovascularisation, large detachment").study)[0][name].value
    assert healthy < 0.03 < drusen < 0.12 < detached


def test_oedema_thickens_the_retina(normal):
    name = "Retina, largest thickness"
    assert measured(case("Macular oedema").study)[0][name].value > measured(normal)[0][name].value + 0.08


def test_fluid_is_outlined_where_the_model_drew_it(normal):
    inputs = preprocess(normal, None)
    drawn = {**NOTHING, "fluid": np.zeros((56, 96), np.float32)}
    drawn["fluid"][30:35, 40:50] = 1
    found = evidence(normal, inputs, drawn)
    outline = {item.name: item for item in found.segmentations}["fluid"]
    expected = inputs.geometry.points_to_source(np.array([[64.5, 89.5]]))[0]
    assert np.argwhere(outline.mask).mean(axis=0) == pytest.approx(expected, abs=3)
    assert found.measurements[0].value > 0


def test_no_fluid_is_no_outline(normal):
    found, outlines = measured(normal)
    assert [item.name for item in outlines] == ["retina"]
    assert found["Fluid, share of the retina"].value == 0


def test_fluid_counts_inside_the_retina_only():
    borders = Borders(np.full(10, 10.0), np.full(10, 20.0))
    mask = np.zeros((40, 10), bool)
    mask[30:] = True
    assert fluid_share(mask, borders) == 0
    mask[:] = True
    assert fluid_share(mask, borders) == 100


def test_a_level_border_has_no_elevation_and_a_bump_has_its_height():
    flat = Borders(np.full(192, 40.0), np.full(192, 70.0))
    assert measure_rows(flat).elevation == pytest.approx(0, abs=1e-6)
    bump = np.full(192, 70.0)
    bump[90:104] -= 9
    assert measure_rows(Borders(flat.inner, bump)).elevation == pytest.approx(9, abs=0.5)


def test_borders_are_found_again_in_the_input(normal):
    borders = borders_of(preprocess(normal, None))
    assert np.median(borders.outer) == pytest.approx(76, abs=3)


def test_samples_are_simulated_marked_and_of_known_labels():
    cases = sample_cases()
    assert len(cases) >= 8
    assert {case.label for case in cases} == {"cnv", "normal"}
    for sample in cases:
        assert sample.study.simulated
        assert sample.mask.shape == sample.study.spatial_shape
        assert 0 < sample.mask.mean() < 0.5


def test_a_sample_is_the_same_every_time():
    assert make_case(SAMPLES[3]).study.sha256 == make_case(SAMPLES[3]).study.sha256


def test_the_volume_holds_its_lesion_in_the_middle():
    volume = sample_cases()[-1]
    assert volume.study.pixels.shape[0] == N_FRAMES
    assert len(volume.study.spacing_mm) == 3
    frames = volume.mask.any(axis=(1, 2))
    assert frames[7]
    assert not frames[0]
    assert not frames[-1]
    assert frame_options(SAMPLES[3].options, 0).fovea is None
