"""Methods over cases of planted truth: thresholds that other images' maps set, figures with intervals."""

import numpy as np
import pytest

from whycad.audit.map_fidelity import CaseMaps, MethodRow, fit_thresholds
from whycad.audit.map_fidelity_figures import mean_figure, method_figures
from whycad.explain import ExplainOptions, explain_on_model_grid
from whycad.explain.fidelity.case import Question
from whycad.explain.fidelity.inside import Inside
from whycad.explain.fidelity.repeats import Repeats
from whycad.map_grades import Thresholds
from whycad.masked_cases import MaskedCase
from whycad.testing.planted_maps import BLOB, LAYER, planted_case, planted_ensemble
from whycad.types import Fidelity, Study

STUDY = Study(np.zeros((64, 64), np.float32), "OT", "0" * 64)


@pytest.fixture(scope="module")
def made():
    found = []
    for seed in range(6):
        case, ensemble = planted_case(seed), planted_ensemble()
        question = Question(ensemble, case.inputs, BLOB, "blob", ExplainOptions(seed=0, gradcam_layer=LAYER))
        raw = explain_on_model_grid("gradcam", ensemble, case.inputs, BLOB, question.options)
        found.append(CaseMaps(MaskedCase(STUDY, str(seed)), question, {"gradcam": raw}))
    return found


def test_thresholds_lie_above_other_images_maps_and_below_own_ones(made):
    told = []
    found = fit_thresholds(made, told.append)
    assert 0 <= found.fair_gain <= found.good_gain < 0.35
    assert 0.6 <= found.most_similar <= 0.8
    assert found.fair_stability < found.good_stability < 1
    assert len(told) == 2
    assert fit_thresholds(made) == found


def test_too_few_cases_leave_the_general_thresholds(made):
    assert fit_thresholds(made[:3]) == Thresholds()


def row(group, gain, grade="A", similarity=0.1, inside=None):
    fidelity = Fidelity(
        deletion_gain_random=gain, insertion_gain_random=gain, deletion_gain_edges=gain, insertion_gain_edges=gain,
        stability=0.9, grade=grade,
    )  # fmt: skip
    return MethodRow("ig", group, fidelity, Repeats((0.5, 0.3, similarity), 0.5, 0.9, 0.1), inside)


def test_figures_are_means_with_intervals_over_groups():
    found = method_figures([row(str(i), 0.1 * i) for i in range(11)], Thresholds())
    assert found.deletion_random.value == pytest.approx(0.5)
    low, high = found.deletion_random.interval
    assert 0.2 < low < 0.5 < high < 0.8
    assert [one.value for one in found.similarity] == pytest.approx([0.5, 0.3, 0.1])
    assert found.shares == (0.3333, 0.6667, 1.0)
    assert found.passes_randomisation
    assert found.inside is None
    assert found.grades == {"A": 11, "B": 0, "C": 0, "fails": 0}


def test_similar_maps_fail_randomisation_and_failed_maps_are_counted():
    found = method_figures([row("a", 0.1, "fails", 0.9), row("b", 0.1, "A", 0.8)], Thresholds())
    assert not found.passes_randomisation
    assert found.n_failed == 1


def test_masses_are_set_against_the_area_of_the_same_cases():
    parts = [Inside(0.6, 0.2, 1.0, 0.25, 0.2), Inside(0.2, 0.2, 0.0, 0.25, 0.2)]
    found = method_figures([row(str(i), 0.1, inside=part) for i, part in enumerate(parts)], Thresholds()).inside
    assert found.n == 2
    assert found.mass_ratio.value == pytest.approx(2)
    assert found.mass_ratio_shifted.value == pytest.approx(1)
    assert found.peak_inside.value == pytest.approx(0.5)


def test_one_group_has_no_interval_and_unknown_values_do_not_count():
    assert mean_figure([1.0, None, 3.0], ["a", "b", "a"], 0).value == 2
    assert mean_figure([1.0, 3.0], ["a", "a"], 0).interval is None


def test_a_peak_that_never_lies_inside_is_not_certain_never_to():
    parts = [Inside(0.6, 0.2, 0.0, 0.25, 0.2)] * 5
    found = method_figures([row(str(i), 0.1, inside=part) for i, part in enumerate(parts)], Thresholds()).inside
    assert found.peak_inside.value == 0
    assert found.peak_inside.interval[1] > 0.3
