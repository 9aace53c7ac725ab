"""Upright B-scans pass; everything else is refused with a reason, and preprocessed without a crash."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from plugins.retinal_oct import gate as gates
from plugins.retinal_oct.align import INPUT_SHAPE
from plugins.retinal_oct.gate import gate
from plugins.retinal_oct.greys import unit_greys
from plugins.retinal_oct.phantom import SAMPLES, make_case, scan_study
from plugins.retinal_oct.preprocess import preprocess
from whycad.datasets.pack import read_pack
from whycad.errors import PredictionError
from whycad.imaging.geometry import map_to_source
from whycad.manifest import load_manifest
from whycad.phantom import colour_study
from whycad.testing.probes import textured_study

SINGLE = [sample for sample in SAMPLES if not sample.volume]


@pytest.fixture(scope="module")
def study():
    return make_case(SAMPLES[0]).study


def with_pixels(study, pixels):
    return replace(study, pixels=np.ascontiguousarray(pixels, dtype=np.float32))


@pytest.mark.parametrize("sample", SINGLE, ids=lambda sample: sample.name)
def test_simulated_scans_pass_as_they_are(sample):
    assert gate(make_case(sample).study, None) == ()


def test_an_upside_down_scan_is_told_so(study):
    assert gate(with_pixels(study, study.pixels[::-1]), None) == (gates.UPSIDE_DOWN,)


def test_an_inverted_scan_is_refused(study):
    assert gate(with_pixels(study, 1 - study.pixels), None) == (gates.INVERTED,)


@pytest.mark.parametrize("kind", ["turned", "noise", "cloud", "blurred"])
def test_what_is_no_scan_is_refused(study, kind):
    rng = np.random.default_rng(0)
    cloud = ndimage.gaussian_filter(rng.normal(size=(256, 256)), 12)
    pixels = {
        "turned": study.pixels.T,
        "noise": rng.random((256, 256)),
        "cloud": (cloud - cloud.min()) / np.ptp(cloud),
        "blurred": ndimage.gaussian_filter(study.pixels, 32),
    }[kind]
    assert gate(with_pixels(study, pixels), None)


def test_colour_is_refused():
    coloured = colour_study(np.full((100, 100, 3), 90, np.uint8))
    assert gate(coloured, None) == (gates.COLOUR,)
    with pytest.raises(PredictionError, match="grey"):
        preprocess(coloured, None)


def test_a_volume_is_read_frame_by_frame(study):
    with pytest.raises(PredictionError, match="one grey B-scan"):
        preprocess(with_pixels(study, np.stack([study.pixels] * 2)), None)


@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_a_flat_image_is_refused_and_does_no_harm(study, fill):
    flat = with_pixels(study, np.full((80, 90), fill))
    assert gate(flat, None)
    assert np.isfinite(preprocess(flat, None).array).all()


def test_a_refused_image_is_resized_whole(repo):
    manifest = load_manifest(repo / "plugins" / "retinal_oct")
    inputs = preprocess(textured_study(manifest, (150, 170)), None)
    corner = inputs.geometry.points_to_source(np.array([[-0.5, -0.5]]))[0]
    assert corner == pytest.approx((-0.5, -0.5))


def test_a_mark_on_the_retina_maps_back_to_its_place(study):
    marked = study.pixels.copy()
    marked[190:194, 250:256] = 1.0
    plain, other = preprocess(study, None), preprocess(with_pixels(study, marked), None)
    assert plain.array.shape == (1, *INPUT_SHAPE)
    change = map_to_source(np.abs(other.array - plain.array)[0], other.geometry)
    found = np.argwhere(change > 0.7 * change.max()).mean(axis=0)
    assert found == pytest.approx((191.5, 252.5), abs=4)


def test_stored_values_become_greys(study):
    assert np.allclose(unit_greys(study), study.pixels)
    eight = replace(study, unit="stored", pixels=study.pixels * 255)
    assert np.allclose(unit_greys(eight), study.pixels, atol=1e-6)
    sixteen = unit_greys(replace(study, unit="stored", pixels=study.pixels * 4095 + 100))
    assert np.corrcoef(sixteen.ravel(), study.pixels.ravel())[0, 1] > 0.999
    assert sixteen.min() == 0
    assert sixteen.max() == 1


def test_the_same_scan_in_another_unit_gives_the_same_input(study):
    eight = replace(study, unit="stored", pixels=study.pixels * 255)
    assert np.allclose(preprocess(eight, None).array, preprocess(study, None).array, atol=1e-3)


@pytest.mark.data
def test_real_scans_pass_and_turned_ones_do_not(data_dir):
    pack = read_pack(data_dir / "oct" / "kermany_cnv_normal.npz")
    rows = pack.rows("train")[::120]
    scans = [np.asarray(pack.image(int(row)), np.uint8) for row in rows]
    passed = [gate(scan_study(scan), None) == () for scan in scans]
    assert np.mean(passed) >= 0.93
    turned = [gate(scan_study(np.ascontiguousarray(scan[::-1])), None) for scan in scans]
    assert np.mean([bool(reasons) for reasons in turned]) >= 0.9
