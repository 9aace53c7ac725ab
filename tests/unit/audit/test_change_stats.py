from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whycad.audit.bootstrap import GroupBootstrap
from whycad.audit.change_stats import interval_words, mean_effects
from whycad.audit.stats import holm


def test_holms_correction_is_that_of_the_paper():
    # Worked by hand: 4 * 0.01, 3 * 0.013, 2 * 0.014, 1 * 0.19, made to ascend.
    assert holm(np.array([0.01, 0.013, 0.014, 0.19])) == pytest.approx([0.04, 0.04, 0.04, 0.19])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_corrected_p_value_lies_between_its_own_and_bonferronis(values):
    p = np.array(values)
    found = holm(p)
    assert (found >= p - 1e-12).all()
    assert (found <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def test_an_effect_is_sure_and_noise_is_not():
    rng = np.random.default_rng(0)
    groups = np.array([f"g{i}" for i in range(80)])
    values = {"real": rng.normal(0.1, 0.1, 80), **{f"noise{i}": rng.normal(0, 0.1, 80) for i in range(10)}}
    values["real"][3] = np.nan
    found = mean_effects(values, groups, GroupBootstrap(groups, 300))
    assert found["real"].sure
    assert found["real"].n == 79
    assert found["real"].low < 0.1 < found["real"].high
    assert not any(found[f"noise{i}"].sure for i in range(10))


def test_false_alarms_over_many_effects_are_rare():
    alarms = 0
    groups = np.array([f"g{i}" for i in range(40)])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = {i: rng.normal(0, 0.1, 40) for i in range(20)}
        alarms += any(e.sure for e in mean_effects(values, groups, GroupBootstrap(groups, 100, seed)).values())
    assert alarms <= 3


def test_values_of_few_groups_are_never_sure():
    groups = np.array(["a", "b", "c"] * 20)
    found = mean_effects({"it": np.full(60, 0.5)}, groups, GroupBootstrap(groups, 100))
    assert not found["it"].sure


def test_an_unknown_interval_is_said():
    assert interval_words(-0.241, -0.139) == "-0.24 to -0.14"
    assert interval_words(None, None) == "interval not established"
