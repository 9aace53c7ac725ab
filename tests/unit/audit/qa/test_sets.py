"""Simulated sets: the strength that was asked for, patients in one split, and leaks that are there."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.data.packs import open_pack
from whycad.audit.qa.artefacts import DETECTED, draw_artefact, found_in
from whycad.audit.qa.plan import ARTEFACTS, LEAKS, NULL_SETS, STRENGTHS, SetSpec, plan_sets
from whycad.audit.qa.scenes import draw_scene
from whycad.audit.qa.sets import make_set, make_truth, phi_of

N = 60


def kinds():
    return [(task, name) for task, names in ARTEFACTS.items() for name in names]


def test_the_plan_has_enough_sets_of_every_kind():
    plan = plan_sets()
    assert len({spec.id for spec in plan}) == len({spec.seed for spec in plan}) == len(plan)
    clean = [spec for spec in plan if not spec.leak]
    assert sum(spec.phi == 0 for spec in clean) >= NULL_SETS == 60
    assert all(sum(spec.phi == phi for spec in clean) >= 20 for phi in STRENGTHS)
    assert {(spec.task, spec.artefact) for spec in clean} == set(kinds())
    assert {spec.leak for spec in plan} == set(LEAKS) | {""}


def test_a_part_of_the_plan_has_some_of_every_strength():
    part = plan_sets()[:60]
    assert {spec.phi for spec in part} == {0.0, *STRENGTHS}
    assert any(spec.leak for spec in part)
    assert len(plan_sets(quick=True)) < 20


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_artefact_and_the_label_have_the_phi_that_was_asked_for(phi):
    made = make_set(SetSpec("mr", "padding", phi, 1), 200)
    assert phi_of(made.labels, made.planted) == pytest.approx(phi, abs=0.12)
    assert made.planted.mean() == pytest.approx(0.5, abs=0.08)


def test_sets_are_the_same_every_time_and_differ_from_each_other():
    one, again, other = (make_set(SetSpec("ct", "scanner", 0.5, k), 20) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.images, again.images)
    assert one.images.shape != other.images.shape or (one.images != other.images).any()


def test_patients_lie_in_one_split_and_have_images_of_one_label():
    made = make_set(SetSpec("oct", "white_corner", 0.5, 0), N)
    for patient in set(made.patients.tolist()):
        mine = made.patients == patient
        assert len(set(made.splits[mine])) == len(set(made.labels[mine])) == 1


def test_new_images_have_artefact_and_label_in_every_combination_as_often():
    truth = make_truth(SetSpec("ct", "table_edge", 0.9, 0), 80)
    assert np.histogram2d(truth.labels, truth.planted, 2)[0].tolist() == [[20, 20], [20, 20]]


@pytest.mark.parametrize(("task", "name"), kinds())
def test_an_artefact_changes_the_image_and_its_detector_finds_it_there_only(task, name):
    rng = np.random.default_rng(0)
    for label in (0, 1, 0, 1):
        clean = draw_scene(task, label, rng).pixels
        drawn = draw_artefact(name, clean, rng)
        assert np.abs(drawn - clean).max() > 0.05
        assert drawn.dtype == np.float32
        if name in DETECTED:
            assert found_in(name, drawn).any()
        assert not found_in(name, clean).any()


def test_the_sign_leaves_brightness_and_sharpness_alone():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 2
    images = np.stack([draw_scene("oct", int(label), rng).pixels for label in labels])
    for value in (images.mean(axis=(1, 2)), images.std(axis=(1, 2)), np.abs(np.diff(images, axis=1)).mean(axis=(1, 2))):
        standard = value.std() * np.sqrt(2 / 150)
        # Streaks along rows make steps from row to row; both directions together do not tell.
        if value is not None and standard:
            assert abs(value[labels == 1].mean() - value[labels == 0].mean()) < 8 * standard


def test_a_pack_of_a_set_is_read_with_its_columns(tmp_path):
    made = make_set(SetSpec("oct", "orig_size", 0.9, 0), N)
    pack = open_pack(made.write(tmp_path / "pack.npz"), None)
    cases = pack.cases
    assert len(cases) == len(made)
    assert cases.groups_known
    assert cases.label_order == ("benign", "disease")
    roles = {column.name: column.role for column in cases.columns}
    assert roles["orig_size"] == "metadata"
    assert {name for name, role in roles.items() if role == "artefact"} == {"white_corner", "burned_in_text"}
    assert pack.mask(0).any()


def leaky(leak):
    return make_set(SetSpec("oct", "white_corner", 0.0, 0, leak), N)


def test_copies_cross_from_train_to_val_under_other_patients():
    made = leaky("duplicates")
    hashes = {split: {im.tobytes() for im in made.images[made.splits == split]} for split in ("train", "val")}
    assert len(hashes["train"] & hashes["val"]) == 8


def test_patients_cross_splits_where_they_are_planted_to():
    made = leaky("patients")
    assert any(len(set(made.splits[made.patients == patient])) > 1 for patient in set(made.patients.tolist()))


def test_the_label_follows_site_or_subject_where_it_is_planted_to():
    site = leaky("source")
    assert len(set(zip(site.labels.tolist(), site.columns["site"].tolist(), strict=True))) == 2
    subject = leaky("subject")
    assert len(set(subject.patients.tolist())) <= 14
    assert len(set(zip(subject.labels.tolist(), subject.patients.tolist(), strict=True))) <= 14
