"""Whether grades tell a task's maps from broken ones, on cases whose finding is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from whycad.audit.map_fidelity import CaseMaps, Examiner
from whycad.explain import explain_on_model_grid
from whycad.explain.fidelity.case import CaseGrader
from whycad.explain.fidelity.edges import edge_map
from whycad.explain.fidelity.grading import GRADES, better
from whycad.explain.fidelity.repeats import cheap_options
from whycad.map_grades import Thresholds
from whycad.masked_cases import MaskedCase
from whycad.types import Fidelity, FloatArray

KINDS = ("random", "edges", "wrong label", "other image")
# Of the shorter side: how smooth a random map is.
SMOOTH = 1 / 16


@dataclass(frozen=True)
class RankReport:
    """What came of grading broken maps beside right ones.

    Attributes
    ----------
    n : int
        Cases.
    below : mapping of str to int
        By kind of broken map, cases in which its grade is worse than that of the case's best map.
    failed : mapping of str to int
        By kind, cases in which it fails.
    best : mapping of str to int
        Cases by the grade of their best map.
    mass : tuple of float
        Share of the best map's positive mass inside the finding's outline; one per case with one.
    """

    n: int
    below: Mapping[str, int]
    failed: Mapping[str, int]
    best: Mapping[str, int]
    mass: tuple[float, ...] = field(default=())


def rank_broken_maps(examiner: Examiner, cases: Iterable[MaskedCase], thresholds: Thresholds) -> RankReport:
    """Grade every case's own maps and four broken ones.

    Broken maps are given the best own map's repeats, so that hiding alone must tell them apart.

    Parameters
    ----------
    examiner : Examiner
    cases : iterable of MaskedCase
        Two at least.
    thresholds : Thresholds
    """
    made = [examiner.maps_of(case) for case in cases]
    below, failed, best_grades = (dict.fromkeys(names, 0) for names in (KINDS, KINDS, GRADES))
    mass = []
    for number, one in enumerate(made):
        grader = CaseGrader(one.question, thresholds)
        repeats = {method: grader.repeats(method) for method in one.maps}
        own = {m: grader.grade(m, raw.map, raw.fidelity, repeats[m]) for m, raw in one.maps.items()}
        best = min(own, key=lambda m: (GRADES.index(own[m].grade), -(own[m].gain_over_random or 0.0)))
        best_grades[own[best].grade] += 1
        share = own[best].mass_inside
        mass += [] if share is None else [share]
        for kind, values in broken_maps(examiner, made, number, best).items():
            found = grader.grade(best, values, Fidelity(), repeats[best])
            below[kind] += better(own[best].grade, found.grade)
            failed[kind] += found.grade == "fails"
        examiner.told(f"{examiner.ensemble.plugin.id}: case {number + 1} of {len(made)}")
    return RankReport(len(made), below, failed, best_grades, tuple(mass))


def broken_maps(examiner: Examiner, made: Sequence[CaseMaps], number: int, method: str) -> dict[str, FloatArray]:
    """Return maps of one case that explain nothing, or something else.

    Parameters
    ----------
    examiner : Examiner
    made : sequence of CaseMaps
    number : int
        Which of them.
    method : str
        Method of the maps of a wrong label and of another image.
    """
    one, other = made[number], made[(number + 1) % len(made)]
    cells = CaseGrader(one.question).cells
    shape = cells.labels.shape
    noise = np.random.default_rng((examiner.seed, number)).standard_normal(shape)
    wrong = replace(one.question, target=_wrong_label(examiner, one))
    options = cheap_options(wrong.options, cells)
    return {
        "random": np.asarray(ndimage.gaussian_filter(noise, SMOOTH * min(shape[-2:])), np.float32),
        "edges": edge_map(cells.grey()),
        "wrong label": explain_on_model_grid(method, wrong.ensemble, wrong.inputs, wrong.target, options).map,
        "other image": other.maps[method].map,
    }


def _wrong_label(examiner: Examiner, one: CaseMaps) -> int:
    """Return the label after the explained one, by column."""
    assert isinstance(one.question.target, int)
    return (one.question.target + 1) % len(examiner.ensemble.plugin.manifest.labels)
