"""All measures of a case together: shared references, independence of company, outlines, broken explainers."""

from dataclasses import replace

import numpy as np
import pytest

from whycad.errors import JobCancelledError
from whycad.explain import ExplainOptions, explain_on_model_grid
from whycad.explain.fidelity.case import CaseGrader, Question
from whycad.explain.fidelity.edges import edge_map
from whycad.explain.fidelity.repeats import Repeats
from whycad.targets import Contrast
from whycad.testing.planted_maps import BLOB, LAYER, NEITHER, STRIPES, planted_case, planted_ensemble
from whycad.types import Fidelity

OPTIONS = ExplainOptions(seed=1, gradcam_layer=LAYER)


@pytest.fixture(scope="module")
def case():
    return planted_case(5)


def question(case, **changes):
    return replace(Question(planted_ensemble(), case.inputs, BLOB, "blob", OPTIONS), **changes)


@pytest.fixture(scope="module")
def raw(case):
    return explain_on_model_grid("gradcam", planted_ensemble(), case.inputs, BLOB, OPTIONS)


def test_a_right_map_has_every_measure_and_a_good_grade(case, raw):
    grader = CaseGrader(question(case, outlines={"nothing": np.zeros_like(case.blob), "blob": case.blob}))
    found = grader.grade("gradcam", raw.map, raw.fidelity)
    assert found.grade == "A"
    assert found.inside_of == "blob"
    assert found.mass_inside > 0.8 > 0.2 > found.mass_shifted
    assert found.peak_inside is True
    assert found.agreement is None
    unmeasured = {"convergence_delta", "local_r2", "n_samples", "agreement"}
    assert {name for name, value in vars(found).items() if value is None} == unmeasured


def test_a_grade_does_not_depend_on_what_was_graded_before(case, raw):
    alone = CaseGrader(question(case)).grade("gradcam", raw.map, raw.fidelity)
    grader = CaseGrader(question(case))
    grader.grade("ig", -raw.map, Fidelity())
    after = grader.grade("gradcam", raw.map, raw.fidelity)
    assert replace(after, agreement=None) == alone
    assert after.agreement == pytest.approx(grader.agreement("ig"))


def test_a_map_that_ignores_the_model_fails_though_it_lies_on_the_truth(case, raw):
    """Such as one that a detector of bright spots drew: it stays the same whatever the weights."""
    unchanged = Repeats(similarities=(1.0,), ssim=1.0, stability=1.0, sensitivity=0.0)
    found = CaseGrader(question(case)).grade("gradcam", raw.map, raw.fidelity, unchanged)
    assert found.grade == "fails"
    assert "random ones" in found.remarks[0]


def test_the_edge_map_fails(case):
    grader = CaseGrader(question(case))
    found = grader.grade("gradcam", edge_map(case.inputs.array[0]), Fidelity())
    assert found.grade == "fails"
    assert any("hiding edges" in remark for remark in found.remarks)


def test_a_contrast_is_graded_by_its_share(case):
    contrast = Contrast((BLOB,), (NEITHER,))
    made = explain_on_model_grid("gradcam", planted_ensemble(), case.inputs, contrast, OPTIONS)
    found = CaseGrader(question(case, target=contrast)).grade("gradcam", made.map, made.fidelity)
    assert found.grade in ("A", "B")


def test_the_methods_own_remarks_stay_behind_the_reasons(case, raw):
    found = CaseGrader(question(case)).grade("gradcam", raw.map, Fidelity(remarks=("Own words.",)))
    assert found.remarks[-1] == "Own words."
    assert len(found.remarks) == 2


def test_the_wrong_labels_map_fails(case):
    wrong = explain_on_model_grid("gradcam", planted_ensemble(), case.inputs, STRIPES, OPTIONS)
    assert CaseGrader(question(case)).grade("gradcam", wrong.map, wrong.fidelity).grade == "fails"


def test_cancelling_stops_grading(case, raw):
    options = replace(OPTIONS, cancelled=lambda: True)
    with pytest.raises(JobCancelledError):
        CaseGrader(question(case, options=options)).grade("gradcam", raw.map, raw.fidelity)
