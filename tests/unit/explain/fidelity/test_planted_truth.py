"""Where the truth is known by construction, grades follow it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from whycad.audit.map_fidelity import CaseMaps, fit_thresholds
from whycad.explain import ExplainOptions, explain_on_model_grid
from whycad.explain.fidelity.case import CaseGrader, Question
from whycad.explain.fidelity.edges import edge_map
from whycad.explain.fidelity.grading import GRADES, better
from whycad.explain.fidelity.randomised import cascade
from whycad.masked_cases import MaskedCase
from whycad.testing.planted_maps import BLOB, LAYER, STRIPES, PlantedNet, planted_case, planted_ensemble
from whycad.types import Fidelity, Study

N_CASES = 40
METHODS = ("gradcam", "ig", "occlusion")
# Pixels of one cell of each map's own resolution: the layer's stride, a pixel, occlusion's window.
OWN_CELL = {"gradcam": 2, "ig": 1, "occlusion": 9}
NET = PlantedNet().eval()


def question(case, seed, ensemble=None):
    options = ExplainOptions(seed=seed, gradcam_layer=LAYER, ig_steps=16)
    return Question(ensemble or planted_ensemble(NET), case.inputs, BLOB, "blob", options)


def maps(asked, methods=METHODS, target=BLOB):
    return {m: explain_on_model_grid(m, asked.ensemble, asked.inputs, target, asked.options) for m in methods}


@pytest.fixture(scope="module")
def thresholds():
    """As a task's are: from cases of their own."""
    study = Study(np.zeros((64, 64), np.float32), "OT", "0" * 64)
    made = []
    for seed in range(2000, 2012):
        asked = question(planted_case(seed), seed)
        made.append(CaseMaps(MaskedCase(study, str(seed)), asked, maps(asked, ("gradcam", "occlusion"))))
    return fit_thresholds(made)


def elsewhere(case, seed):
    """An image whose blob lies nowhere near this one's."""
    near = ndimage.binary_dilation(case.blob, iterations=8)
    candidates = (planted_case(other) for other in range(1000 + seed, 9000, 100))
    return next(other for other in candidates if not (other.blob & near).any())


def broken_maps(case, asked, seed):
    other = question(elsewhere(case, seed), seed)
    noise = np.random.default_rng(seed).normal(size=(64, 64))
    return {
        "random": ndimage.gaussian_filter(noise, 4).astype(np.float32),
        "edges": edge_map(case.inputs.array[0]),
        "wrong label": maps(asked, ("gradcam",), STRIPES)["gradcam"].map,
        "other image": maps(other, ("gradcam",))["gradcam"].map,
    }


def test_thresholds_of_this_task_are_set_by_other_images_maps(thresholds):
    assert 0 < thresholds.fair_gain < thresholds.good_gain < 0.3


def test_broken_explainers_rank_below_a_right_one_in_95_of_100_cases(thresholds):
    """They are given the right one's repeats, so that the curves alone must tell them apart."""
    below = Counter()
    for seed in range(N_CASES):
        case = planted_case(seed)
        asked = question(case, seed)
        grader = CaseGrader(asked, thresholds)
        repeats = grader.repeats("gradcam")
        right = grader.grade("gradcam", maps(asked, ("gradcam",))["gradcam"].map, Fidelity(), repeats)
        for name, values in broken_maps(case, asked, seed).items():
            below[name] += better(right.grade, grader.grade("gradcam", values, Fidelity(), repeats).grade)
    assert min(below[name] for name in ("random", "edges", "wrong label", "other image")) >= 0.95 * N_CASES, below


def test_the_best_graded_map_has_its_mass_within_the_structure(thresholds):
    shares = []
    for seed in range(14):
        case = planted_case(seed)
        asked = question(case, seed)
        grader, made = CaseGrader(asked, thresholds), maps(asked)
        found = {m: grader.grade(m, raw.map, raw.fidelity) for m, raw in made.items()}
        best = min(found, key=lambda m: (GRADES.index(found[m].grade), -found[m].gain_over_random))
        cell = np.ones((2 * OWN_CELL[best] + 1,) * 2, bool)
        near = ndimage.binary_dilation(case.blob, cell)
        positive = np.clip(made[best].map, 0, None)
        shares.append(float(positive[near].sum() / positive.sum()))
    assert np.mean(shares) >= 0.8
    assert np.mean(np.array(shares) >= 0.8) >= 0.9, sorted(shares)


def test_with_random_weights_the_badge_fails_the_map(thresholds):
    grades = Counter()
    for seed in range(N_CASES):
        ensemble = planted_ensemble(next(iter(cascade(NET, (1.0,), seed))))
        asked = question(planted_case(seed), seed, ensemble)
        raw = maps(asked, ("gradcam",))["gradcam"]
        grades[CaseGrader(asked, thresholds).grade("gradcam", raw.map, raw.fidelity).grade] += 1
    assert grades["fails"] >= 0.95 * N_CASES, grades


def test_a_random_networks_map_shown_for_the_trained_one_fails(thresholds):
    """It explains another network: the same for every state of this one, so randomisation changes nothing."""
    from whycad.explain.fidelity.repeats import Repeats

    case = planted_case(0)
    asked = question(case, 0)
    foreign = replace(asked, ensemble=planted_ensemble(next(iter(cascade(NET, (1.0,), 7)))))
    raw = maps(foreign, ("gradcam",))["gradcam"]
    never_changes = Repeats((1.0,), 1.0, 1.0, 0.0)
    assert CaseGrader(asked, thresholds).grade("gradcam", raw.map, raw.fidelity, never_changes).grade == "fails"
