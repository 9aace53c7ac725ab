"""Every task's reference cases are calibration cases, and its stored file is of its weights and cases."""

from itertools import islice

import numpy as np
import pytest

from whycad.datasets.source import open_source
from whycad.plugin import load_plugin
from whycad.reference import LEAST_CASES, range_label, read_reference, reference_of
from whycad.registry import builtin_folder
from whycad.scoring import calibration_of

TASKS = ("skin_lesion", "lung_nodule", "retinal_oct", "liver_fibrosis")
PACKS = {
    "skin_lesion": "skin/ham10000.npz",
    "lung_nodule": "lung/lidc_key_slices.npz",
    "retinal_oct": "oct/kermany_cnv_normal.npz",
}


@pytest.mark.parametrize("task", TASKS)
def test_the_stored_distributions_are_of_the_calibration_set(task):
    plugin = load_plugin(builtin_folder() / task)
    reference, source = reference_of(plugin), calibration_of(plugin).source
    assert reference is not None, "made with other weights"
    assert reference.source.selection.startswith(source.selection)
    assert reference.source.n + reference.source.n_refused <= source.n
    assert reference.source.simulated is (task == "liver_fibrosis")
    usual = range_label(plugin.manifest)
    assert all(item.of(usual) is not None for item in reference.measurements.values())
    for item in (*reference.measurements.values(), *reference.concepts.values()):
        for found in item.labels.values():
            assert found.established is (found.n >= LEAST_CASES)
            assert list(found.quantiles) == sorted(found.quantiles)


@pytest.mark.parametrize("task", TASKS)
def test_words_name_measurements_and_descriptors_that_there_are(task):
    plugin = load_plugin(builtin_folder() / task)
    reference, argument = read_reference(plugin.reference_path()), plugin.manifest.argument
    known = {*reference.measurements, *reference.concepts}
    assert {*argument.words, *argument.silent} <= known
    assert all(label.plural for label in plugin.manifest.labels)


@pytest.mark.data
@pytest.mark.parametrize("task", PACKS)
def test_cases_are_of_the_training_split(task, data_dir):
    plugin = load_plugin(builtin_folder() / task)

    source = open_source(data_dir / PACKS[task], plugin.manifest, read_row=plugin.row_reader)
    cases = list(islice(plugin.reference_cases(data_dir), 3))
    hashes = {case.study.sha256 for case in cases}
    held_out = {source.study(row).sha256 for row in source.rows("val")[:20]}
    assert {case.label for case in cases} <= set(plugin.manifest.label_codes)
    assert not hashes & held_out
    if task == "lung_nodule":
        assert all(1 <= rating <= 6 for case in cases for rating in case.readings.values())


def test_simulated_cases_take_the_stages_in_turn(tmp_path):
    plugin = load_plugin(builtin_folder() / "liver_fibrosis")
    cases = list(islice(plugin.reference_cases(tmp_path), 6))
    assert [case.label for case in cases] == ["F0", "F1", "F2", "F3", "F4", "F0"]
    assert all(case.study.simulated for case in cases)
    assert not np.array_equal(cases[0].study.pixels, cases[5].study.pixels)
