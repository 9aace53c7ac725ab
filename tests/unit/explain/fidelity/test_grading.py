"""Grades: what fails a map, what lowers it, reasons in words; better measures never give a worse grade."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.explain.fidelity.grading import GRADES, better, graded
from whycad.map_grades import Thresholds
from whycad.types import Fidelity

T = Thresholds()
GOOD = Fidelity(
    span=0.5, deletion_gain_random=0.3, insertion_gain_random=0.3, deletion_gain_edges=0.2, insertion_gain_edges=0.2,
    randomised_similarity=0.1, stability=0.9, convergence_delta=0.01, local_r2=0.8, mass_inside=0.6, mass_shifted=0.2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "grade", "words"),
    [
        ({}, "A", "Hiding what the map marks lowers melanoma faster than hiding random places or edges, and"),
        ({"span": 0.01}, "fails", "hardly changes the score of melanoma"),
        ({"deletion_gain_edges": -0.3}, "fails", "lowers melanoma no faster than hiding edges"),
        ({"deletion_gain_edges": 0, "insertion_gain_edges": 0}, "fails", "no faster than hiding edges"),
        ({"deletion_gain_random": -0.4}, "fails", "no faster than hiding random places"),
        ({"randomised_similarity": 0.9}, "fails", "weights are replaced by random ones"),
        ({"deletion_gain_random": 0.0, "insertion_gain_random": 0.04}, "C", "maps of other images often do as well"),
        ({"deletion_gain_random": 0.0, "insertion_gain_random": 0.2}, "B", "a map of another image can do as well"),
        ({"stability": 0.5}, "B", "changes the map somewhat"),
        ({"stability": 0.1}, "C", "gives quite another map"),
        ({"mass_inside": 0.1, "inside_of": "lesion"}, "B", "inside the lesion than if it were shifted"),
        ({"convergence_delta": -0.1}, "B", "does not add up"),
        ({"convergence_delta": 0.5}, "C", "does not add up"),
        ({"local_r2": 0.1}, "B", "follows the network poorly"),
    ],
)
def test_a_grade_and_its_reason(change, grade, words):
    found, reasons = graded(replace(GOOD, **change), T, "melanoma")
    assert found == grade
    assert words in reasons[0]


def test_the_gravest_reason_comes_first_and_none_is_lost():
    grade, reasons = graded(replace(GOOD, local_r2=0.1, stability=0.1, randomised_similarity=1.0), T, "x")
    assert grade == "fails"
    assert [reason.split()[0] for reason in reasons] == ["The", "Slight", "The"]


def test_nothing_measured_gives_no_grade():
    assert graded(Fidelity(local_r2=0.1, stability=0.9), T, "x") == ("", ())
    assert graded(Fidelity(randomised_similarity=0.99), T, "x")[0] == "fails"


SHARES = st.one_of(st.none(), st.floats(-1, 1))
BETTER_UP = ("span", "deletion_gain_random", "insertion_gain_random", "deletion_gain_edges", "insertion_gain_edges",
             "stability", "local_r2", "mass_inside")  # fmt: skip
BETTER_DOWN = ("randomised_similarity", "convergence_delta", "mass_shifted")


@given(
    st.fixed_dictionaries(dict.fromkeys((*BETTER_UP, *BETTER_DOWN), SHARES)),
    st.sampled_from((*BETTER_UP, *BETTER_DOWN)),
    st.floats(0, 1),
)
def test_a_better_measure_never_gives_a_worse_grade(values, name, by):
    if values["convergence_delta"] is not None:
        values["convergence_delta"] = abs(values["convergence_delta"])
    before = Fidelity(**values)
    if values[name] is None:
        return
    step = by if name in BETTER_UP else -min(by, values[name]) if name == "convergence_delta" else -by
    after = replace(before, **{name: values[name] + step})
    first, second = (graded(f, T, "x")[0] for f in (before, after))
    assert (first == "") == (second == "")
    assert not first or not better(first, second)


def test_grades_are_ordered():
    assert [better(a, b) for a, b in itertools.pairwise(GRADES)] == [True] * 3
    assert not better("B", "B")
