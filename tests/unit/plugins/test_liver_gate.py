"""The gate lets simulated slices through and nothing else; the tests with real images need the packs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from plugins.liver_fibrosis import gate as gates
from plugins.liver_fibrosis.check_gate import (
    ALTERED,
    CT_VOLUME,
    PACKS,
    ct_studies,
    grey,
    main,
    natural_studies,
    pack_studies,
    picture,
    refused,
)
from plugins.liver_fibrosis.data import slice_pixels, slice_study, slices_of
from plugins.liver_fibrosis.gate import CELL, Description, cells_of, gate, gate_real, reference, strange
from plugins.liver_fibrosis.gate_fit import fit_reference, simulated_reference, write_reference
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.preprocess import INPUT_SHAPE, preprocess
from plugins.liver_fibrosis.rows import PLUGIN_FOLDER
from plugins.liver_fibrosis.sequences import OTHER_SEQUENCES, named_sequence
from whycad.errors import PluginError
from whycad.manifest import load_manifest
from whycad.phantom import colour_study

N_SLICES = 20
N_ROWS = 40


@pytest.fixture(scope="module")
def images():
    return [slice_pixels(item) for item in slices_of(PackOrder(N_SLICES, 31, ("A", "B", "C")))]


@pytest.fixture(scope="module")
def manifest():
    return load_manifest(PLUGIN_FOLDER)


def test_simulated_slices_of_every_scanner_pass(images):
    assert sum(gate(picture(image), None) == () for image in images) >= N_SLICES - 2


@pytest.mark.parametrize("name", ALTERED)
def test_altered_slices_are_refused(images, name):
    answers = [gate(picture(ALTERED[name](image)), None) for image in images]
    assert sum(bool(reasons) for reasons in answers) >= N_SLICES - 1


@pytest.mark.parametrize("name", OTHER_SEQUENCES)
def test_other_sequences_are_mostly_refused(name):
    assert (
        sum(bool(gate(picture(named_sequence(index, name) / 255), None)) for index in range(N_SLICES)) >= 0.7 * N_SLICES
    )


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((160, 160))


def waves(seed: int) -> np.ndarray:
    field = ndimage.gaussian_filter(noise(seed), 6)
    return (field - field.min()) / np.ptp(field)


def blob(seed: int) -> np.ndarray:
    """An ellipse on black, textured: a body outline with nothing of a body in it."""
    y, x = np.mgrid[-1:1:160j, -1:1:160j]
    return np.where((x / 0.85) ** 2 + (y / 0.6) ** 2 < 1, 0.4 + 0.4 * waves(seed), 0.02 * noise(seed))


@pytest.mark.parametrize("make", [noise, waves, blob])
def test_procedural_pictures_are_refused(make):
    assert all(gate(picture(make(seed)), None) for seed in range(10))


def test_reasons_name_what_is_wrong(images):
    study = slice_study(next(slices_of(PackOrder(1, 31, ("A",)))))
    assert gate(study, None) == ()
    assert gate(replace(study, pixels=study.pixels[None]), None) == (gates.NOT_ONE_SLICE,)
    assert gate(colour_study(np.zeros((80, 80, 3), np.uint8)), None) == (gates.NOT_ONE_SLICE,)
    assert gate(replace(study, pixels=study.pixels - 0.5), None) == (gates.NEGATIVE,)
    assert gate(replace(study, orientation=(0.0, 1, 0, 0, 0, -1)), None) == (gates.NOT_AXIAL,)
    assert gate(replace(study, orientation=(1.0, 0, 0, 0, 1, 0)), None) == ()
    assert gate(picture(noise(0)), None) == (gates.NO_BODY,)
    assert gate(replace(study, pixels=np.ascontiguousarray(study.pixels[40:120, 40:120])), None) != ()
    mirrored = [gate(picture(image[:, ::-1]), None) for image in images]
    assert mirrored.count((gates.MIRRORED,)) >= N_SLICES - 2


def test_the_gate_of_real_models_asks_for_one_whole_axial_slice_only(images):
    assert gate_real(picture(images[0]), None) == ()
    assert gate_real(picture(ndimage.gaussian_filter(images[0], 2)), None) == ()
    assert gate_real(picture(noise(0)), None) == (gates.NO_BODY,)


def test_the_score_of_inputs_agrees_with_the_gate(images):
    inputs = np.stack([preprocess(picture(image), None).array for image in images])
    scores = strange(inputs)
    assert scores.shape == (N_SLICES,)
    assert np.median(scores) < 0.95
    assert (strange(inputs[:, :, :, ::-1]) > scores).all()
    np.testing.assert_allclose(scores, reference().layout_scores(cells_of(inputs, CELL)).max(axis=1))


def test_the_reference_is_fitted_on_simulated_slices_and_stored(tmp_path):
    fitted = simulated_reference(24)
    write_reference(fitted, tmp_path / "gate.npz")
    stored = reference(tmp_path / "gate.npz")
    layouts = np.random.default_rng(0).normal(size=(3, len(fitted.layout_mean)))
    np.testing.assert_allclose(stored.layout_scores(layouts), fitted.layout_scores(layouts), rtol=1e-5)
    np.testing.assert_allclose(stored.layout_axes @ stored.layout_axes.T, np.eye(len(stored.layout_axes)), atol=1e-4)


def test_limits_let_nearly_all_of_the_other_half_through():
    rng = np.random.default_rng(0)

    def described(n, shift):
        shape = (1, *INPUT_SHAPE)
        noise = rng.normal(shift, 1, (n, *shape)).astype(np.float32)
        return [Description(item, rng.normal(size=40), rng.normal(size=5)) for item in noise]

    fitted = fit_reference(described(400, 0), described(200, 0.05))
    odd = rng.normal(size=(600, 40))
    assert (fitted.layout_scores(odd).max(axis=1) <= 1).mean() > 0.96
    assert (fitted.layout_scores(3 * odd).max(axis=1) > 1).all()
    usual, others = (np.stack([item.inputs for item in described(100, shift)]) for shift in (0, 0.05))
    assert (fitted.contrast_beyond(usual) <= 0).mean() > 0.9
    assert fitted.contrast_beyond(others).mean() > fitted.contrast_beyond(usual).mean()


def test_a_missing_reference_is_a_plain_error(tmp_path):
    with pytest.raises(PluginError, match=r"gate file 'none.npz' is missing"):
        reference(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(PluginError, match="broken"):
        reference(tmp_path / "broken.npz")


def test_natural_pictures_are_refused(manifest):
    studies = list(natural_studies())[::8]
    assert len(studies) > 30
    assert all(refused(study, manifest) for study in studies)


@pytest.mark.data
@pytest.mark.parametrize("name", PACKS)
def test_real_images_are_refused(data_dir, manifest, monkeypatch, name):
    monkeypatch.setattr("plugins.liver_fibrosis.check_gate.LIMIT", N_ROWS)
    studies = list(pack_studies(data_dir / name, manifest))
    assert len(studies) == N_ROWS
    assert all(refused(study, manifest) for study in studies)
    assert all(gate(grey(study), None) for study in studies)


@pytest.mark.data
def test_slices_of_a_chest_ct_are_refused(data_dir, manifest):
    found = list(ct_studies(data_dir / CT_VOLUME))[::5]
    assert {name for name, _ in found} != set()
    assert all(refused(study, manifest) for _, study in found)
    assert all(gate(replace(study, modality="MR"), None) for _, study in found)


@pytest.mark.data
def test_the_command_counts(data_dir, tmp_path, monkeypatch, capsys):
    for name, small in (
        ("LIMIT", 3),
        ("N_SIMULATED", 3),
        ("N_ALTERED", 3),
        ("CROPS_PER_PICTURE", 0),
        ("PICTURES", ("camera",)),
    ):
        monkeypatch.setattr(f"plugins.liver_fibrosis.check_gate.{name}", small)
    assert main(["--data", str(data_dir), "--out", str(tmp_path / "figures.json")]) == 0
    assert "ham10000: 100.0% of 3 refused" in capsys.readouterr().out
