"""Fabricated and leaking labels are named plainly; ordinary sets are not accused."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.checks import CheckSkippedError
from whycad.audit.findings import Severity


def test_labels_that_are_subject_ids_are_called_so(pack, textures):
    subjects = np.repeat([f"s{i}" for i in range(6)], 20)
    label = np.repeat(["F0", "F1", "F2"], 40)
    audited = pack(images=textures(120), label=label, patient=subjects)
    (found,) = audited.about("label_by_subject", "patient")
    assert found.severity is Severity.CRITICAL
    assert "follow the subject" in found.message.lower()
    assert "F0 2" in found.message


def test_lesions_with_a_few_images_and_patients_with_a_diagnosis_are_ordinary(pack, textures):
    lesions = np.repeat([f"l{i}" for i in range(60)], 2)
    label = np.repeat(np.where(np.arange(60) % 2, "a", "b"), 2)
    assert pack(images=textures(120), label=label, group_id=lesions).worst("label_by_subject") is Severity.OK
    patients = np.repeat([f"p{i}" for i in range(40)], 10)
    label = np.repeat(np.where(np.arange(40) % 2, "a", "b"), 10)
    assert pack(images=textures(400), label=label, patient=patients).worst("label_by_subject") is Severity.OK


def test_few_subjects_with_mixed_labels_are_no_label(pack, textures):
    subjects = np.repeat(["s1", "s2", "s3"], 40)
    label = np.tile(["a", "b"], 60)
    (found,) = pack(images=textures(120), label=label, patient=subjects).about("label_by_subject", "patient")
    assert found.severity is Severity.OK


def test_frames_of_a_few_scenes_are_seen_without_any_id(pack, textures):
    scenes = textures(6, seed=3)
    frames = np.repeat(scenes, 20, axis=0).astype(np.int64) + np.random.default_rng(0).integers(-6, 7, (120, 32, 32))
    label = np.repeat(["F0", "F1", "F2"], 40)
    audited = pack(images=np.clip(frames, 0, 255).astype(np.uint8), label=label)
    (found,) = audited.about("label_by_subject", "nearest picture")
    assert found.severity is Severity.CRITICAL
    assert "frames of a few subjects" in found.message


@pytest.mark.parametrize(("name", "is_id"), [("volunteer_id", True), ("Animal", True), ("patient_diagnosis", False)])
def test_columns_that_name_subjects_are_known_by_their_name(pack, textures, name, is_id):
    subjects = np.repeat(np.array([f"s{i}" for i in range(6)]), 20)
    audited = pack(images=textures(120), label=np.repeat(["a", "b"], 60), **{name: subjects})
    assert bool(audited.about("label_by_subject", name)) is is_id


def test_unknown_subjects_are_said_to_be_unknown(pack, textures):
    label = np.where(np.random.default_rng(0).random(120) < 0.5, "a", "b")
    result = pack(images=textures(120), label=label).result("label_by_subject")
    assert {finding.severity for finding in result.findings} == {Severity.OK, Severity.UNKNOWN}


def test_a_label_from_a_simulator_follows_the_source_by_its_look(pack, textures):
    real, simulated = textures(160, seed=1), textures(80, seed=2, level=90, sigma=3.0)
    label = np.r_[np.where(np.random.default_rng(0).random(160) < 0.5, "F0", "F1"), np.repeat("F2", 80)]
    audited = pack(images=np.concatenate([real, simulated]), label=label)
    (found,) = audited.about("label_by_source", "look of the pictures")
    assert found.severity is Severity.CRITICAL
    assert found.label == "F2"
    assert "Labels follow the source" in found.message


def test_a_scanner_that_gives_the_label_is_named(pack, textures):
    label = np.where(np.random.default_rng(0).random(120) < 0.5, "ill", "well")
    maker = np.where(label == "ill", "Siemens", "GE")
    (found,) = pack(images=textures(120), label=label, manufacturer=maker).about("label_by_source", "manufacturer")
    assert found.severity is Severity.CRITICAL
    assert "Labels follow the source" in found.message
    assert found.effect is not None
    assert found.effect > 0.9


def test_a_site_on_the_body_is_no_source_and_a_clinic_is(pack, textures):
    label = np.where(np.random.default_rng(0).random(120) < 0.5, "ill", "well")
    for names, n in ((("face", "back"), 0), (("clinic A", "clinic B"), 1)):
        site = np.where(label == "ill", *names)
        assert len(pack(images=textures(120), label=label, site=site).about("label_by_source", "site")) == n


def test_one_size_with_one_label_is_a_warning_and_mixed_sizes_are_none(pack, textures):
    generator = np.random.default_rng(0)
    label = np.where(generator.random(300) < 0.5, "ill", "well")
    odd = (label == "well") & (generator.random(300) < 0.3)
    sizes = np.where(odd[:, None], [[512, 512]], [[512, 496]])
    (found,) = pack(images=textures(300), label=label, orig_size=sizes).about("label_by_source", "orig_size")
    assert found.severity is Severity.WARNING
    assert "512x512" in found.message
    mixed = np.where(generator.random((300, 1)) < 0.3, [[512, 512]], [[512, 496]])
    audited = pack(images=textures(300), label=label, orig_size=mixed)
    assert audited.about("label_by_source", "orig_size") == []
    assert audited.worst("label_by_source") is Severity.OK


@pytest.mark.parametrize(
    ("n_sites", "per_site"), [(20, 10), (25, 8), (70, 3)], ids=["numbered sites", "small sites", "many sites"]
)
def test_many_numbered_sites_that_give_the_label_are_named(pack, textures, n_sites, per_site):
    site = np.repeat(np.arange(1, n_sites + 1), per_site)
    label = np.where(site % 2, "ill", "well")
    (found,) = pack(images=textures(len(site)), label=label, site=site).about("label_by_source", "site")
    assert found.severity is Severity.CRITICAL
    assert "Labels follow the source: site" in found.message


def test_a_source_that_gives_nearly_every_label_is_named(pack, textures):
    generator = np.random.default_rng(0)
    label = np.where(generator.random(200) < 0.5, "ill", "well")
    site = np.where((label == "ill") ^ (generator.random(200) < 0.08), "clinic A", "clinic B")
    (found,) = pack(images=textures(200), label=label, site=site).about("label_by_source", "site")
    assert found.severity is Severity.CRITICAL
    assert "of the images have the commonest label of theirs" in found.message


def test_sites_by_chance_are_not_accused(pack, textures):
    generator = np.random.default_rng(0)
    for seed in range(4):
        site = np.random.default_rng(seed).permutation(np.repeat(np.arange(25), 8))
        label = np.where(generator.random(200) < 0.5, "ill", "well")
        audited = pack(images=textures(200), label=label, site=site)
        assert audited.about("label_by_source", "site") == []
        assert any("gives the label (site)" in one.message for one in audited.result("label_by_source").findings)


def test_two_patients_of_a_device_are_two_and_not_twenty(pack, textures):
    patient = np.repeat(np.arange(20), 10)
    label = np.where(np.random.default_rng(3).random(20) < 0.5, "ill", "well")[patient]
    device = np.char.add("D", (patient // 2).astype(str))
    audited = pack(images=textures(200), label=label, device=device, patient=patient.astype(str))
    assert audited.about("label_by_source", "device") == []
    alone = pack(images=textures(200), label=np.where(patient // 2 % 2, "ill", "well"), device=device)
    assert alone.about("label_by_source", "device")


def test_a_site_of_one_image_each_is_not_called_fine(pack, textures):
    label = np.where(np.random.default_rng(0).random(120) < 0.5, "ill", "well")
    site = np.array([f"clinic {i}" for i in range(120)])
    result = pack(images=textures(120), label=label, site=site).result("label_by_source")
    assert any(one.severity is Severity.UNKNOWN and "site" in one.message for one in result.findings)
    assert not any("no column names a source" in one.message for one in result.findings)


def test_numbered_subjects_are_subjects(pack, textures):
    number = np.repeat(np.arange(1, 17), 12)
    audited = pack(images=textures(192), label=np.where(number % 2, "a", "b"), subject_nr=number)
    (found,) = audited.about("label_by_subject", "subject_nr")
    assert found.severity is Severity.WARNING
    assert "Few subjects stand behind a label" in found.message
    assert len(set(audited.context.cases.groups.tolist())) == 16


def test_no_patient_is_named_where_splits_are_torn(pack, textures):
    patients = np.array(["Smith", "Smith", "Jones", "Brown"] * 10)
    split = np.array(["train", "val", "train", "val"] * 10)
    result = pack(images=textures(40), patient=patients, split=split).result("group_across_splits")
    said = result.model_dump_json()
    assert "Smith" not in said
    assert "group 1" in said


def test_groups_and_patients_on_both_sides_are_counted(pack, textures):
    groups, split = np.array(["a", "a", "b", "c"] * 10), np.array(["train", "val", "train", "val"] * 10)
    audited = pack(images=textures(40), group_id=groups, split=split)
    (found,) = audited.about("group_across_splits", "group")
    assert found.severity is Severity.CRITICAL
    assert found.n == 3
    assert found.n_cases == 20
    sound = pack(images=textures(40), group_id=groups, split=np.where(groups == "a", "train", "val"))
    assert sound.worst("group_across_splits") is Severity.OK
    unknown = pack(images=textures(40), split=split)
    assert unknown.worst("group_across_splits") is Severity.UNKNOWN
    with pytest.raises(CheckSkippedError):
        pack(images=textures(40)).result("group_across_splits")


def test_copies_across_splits_and_with_other_labels_are_found(pack, textures):
    pictures = textures(60)
    pictures[50], pictures[51] = pictures[3], pictures[4]
    split = np.repeat(["train", "val"], [50, 10])
    label = np.array(["a", "b"] * 30)
    label[50], label[51] = label[3], "a" if label[4] == "b" else "b"
    result = pack(images=pictures, label=label, split=split).result("near_duplicate")
    across, within, labels = result.findings
    assert across.severity is Severity.CRITICAL
    assert "2 pairs" in across.message
    assert set(across.cases) == {"row-3", "row-50", "row-4", "row-51"}
    assert within.severity is Severity.OK
    assert labels.severity is Severity.WARNING
    assert labels.n_cases == 2
    assert result.tables[0].cases[0] == ("row-3", "row-50")


def test_a_random_split_that_tears_groups_apart_leaks(pack, textures):
    generator = np.random.default_rng(0)
    scenes = textures(40) * (generator.uniform(0.4, 1.0, 40)[:, None, None])
    pictures = np.clip(np.repeat(scenes, 8, axis=0) + generator.normal(0, 3, (320, 32, 32)), 0, 255).astype(np.uint8)
    label = np.repeat(np.where(generator.random(40) < 0.5, "a", "b"), 8)
    audited = pack(images=pictures, label=label, patient=np.repeat(np.arange(40).astype(str), 8))
    (gap,) = audited.about("trivial_feature", "random split")
    assert gap.severity is Severity.CRITICAL
    assert gap.ci_low is not None
    assert gap.ci_low > 0
    (alone,) = audited.about("trivial_feature", "all")
    assert alone.severity is Severity.OK


def test_a_border_that_gives_the_label_is_found(pack, textures):
    pictures = textures(200)
    label = np.where(np.random.default_rng(0).random(200) < 0.5, "a", "b")
    pictures[label == "a", :2] = 10
    audited = pack(images=pictures, label=label)
    (found,) = audited.about("trivial_feature", "border")
    assert found.severity is Severity.CRITICAL
    assert audited.about("trivial_feature", "file") == []


def test_trivial_features_that_tell_nothing_are_fine(pack, textures):
    label = np.where(np.random.default_rng(0).random(200) < 0.5, "a", "b")
    assert pack(images=textures(200), label=label).worst("trivial_feature") is Severity.OK
