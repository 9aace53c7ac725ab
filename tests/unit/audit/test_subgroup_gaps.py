"""Which gaps of subgroups are told: each fact once, from its worse side."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.bootstrap import Estimate
from whycad.audit.context import AuditOptions
from whycad.audit.judged import judged_cases
from whycad.audit.model_columns import column_levels
from whycad.audit.subgroup_gaps import Gap, from_the_rest, told_gaps
from whycad.testing.audits import AuditRecipe, simulated_context


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    recipe = AuditRecipe(n=300, options=AuditOptions(n_draws=20))
    return judged_cases(simulated_context(recipe, tmp_path_factory.mktemp("gaps")))


@pytest.fixture
def gap(cases):
    """Return a function that makes the gap of levels such as ``site=face``."""
    known = {f"{level.column}={level.name}": level for column in cases.columns for level in column_levels(column)}

    def made(names, value, half=0.05, figure="sensitivity", label="c0"):
        levels = tuple(known[name] for name in names.split(" & "))
        return Gap(figure, label, levels, 40, 70, 0.8, Estimate(value, (value - half, value + half), half / 2), 0.001)

    return made


def told(cases, *gaps):
    found = told_gaps(cases, dict(enumerate(gaps)))
    assert all(one.gap.value < 0 for one in found.values())
    return {place: one.words for place, one in found.items()}


def test_a_better_side_is_not_told_beside_the_worse_one_of_its_column(cases, gap):
    assert told(cases, gap("site=back", 0.5), gap("site=face", -0.4), gap("site=hand", -0.3)) == {
        1: "with site face",
        2: "with site hand",
    }
    assert told(cases, gap("site=back", 0.5, label="c1"), gap("site=face", -0.4)) == {
        0: "other than those with site back",
        1: "with site face",
    }
    assert len(told(cases, gap("site=back", 0.5, figure="AUROC"), gap("site=face", -0.4))) == 2


def test_what_is_only_better_is_told_of_the_others_once(cases, gap):
    assert told(cases, gap("site=back", 0.5), gap("site=face", 0.2), gap("site=back & sex=f", 0.6)) == {
        0: "other than those with site back"
    }
    assert told(cases, gap("site=back & sex=f", 0.4), gap("ruler=yes & sex=f", 0.3)) == {
        0: "other than those with site back and sex f"
    }


def test_of_two_levels_the_other_is_named(cases, gap):
    assert told(cases, gap("ruler=yes", 0.3), gap("sex=f", 0.2)) == {0: "without ruler", 1: "with sex m"}


def test_the_others_have_their_own_cases_figure_and_interval(cases, gap):
    better = gap("sex=f", 0.3)
    (level,) = better.levels
    seen = from_the_rest(cases, better)
    assert (seen.n, seen.n_rest) == (70, 40)
    assert seen.inside == pytest.approx(0.5)
    assert (seen.gap.value, seen.gap.interval) == (-0.3, pytest.approx((-0.35, -0.25)))
    assert (seen.mask == level.rest).all()
    back = gap("site=back & sex=f", 0.3)
    known = np.logical_and.reduce([level.known for level in back.levels])
    assert (from_the_rest(cases, back).mask == known & ~back.mask).all()


def test_pairs_that_repeat_a_level_are_not_told_unless_clearly_larger(cases, gap):
    face = gap("site=face", -0.2)
    assert told(cases, gap("site=face & sex=f", -0.28), face) == {1: "with site face"}
    assert told(cases, gap("site=face & sex=f", -0.4), face) == {0: "with site face and sex f", 1: "with site face"}
    assert len(told(cases, face, gap("site=hand & sex=f", -0.2))) == 2
    assert told(cases, gap("site=face & sex=f", -0.3), gap("site=face & ruler=yes", -0.3)) == {
        0: "with site face and sex f"
    }


def test_pairs_among_the_others_repeat_what_is_told_of_them(cases, gap):
    back = gap("site=back", 0.2)
    assert len(told(cases, back, gap("site=face & sex=f", -0.2))) == 1
    assert len(told(cases, back, gap("site=face & sex=f", -0.5))) == 2
