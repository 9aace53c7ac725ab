from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.change_stats import Effect
from whycad.audit.changes.paired import Paired
from whycad.audit.findings import Severity


def sized(value: float, p: float) -> Effect:
    low, high = sorted((0.8 * value, 1.2 * value))
    return Effect(value, low, high, p, 40)


def told(effect: float, plain: float, p: float = 0.001, plain_p: float = 0.001) -> Severity:
    found = Paired(
        np.arange(40),
        ("hair",),
        ("disease",),
        np.full((1, 40, 1), effect),
        np.zeros((1, 2, 40)),
        np.zeros(1),
        {("hair", "disease"): sized(effect, p)},
        {("hair", "disease"): sized(plain, plain_p)},
    )
    return found.severity("hair", "disease")


@pytest.mark.parametrize(
    ("effect", "plain", "severity"),
    [
        (0.2, 0.2, Severity.CRITICAL),
        (-0.2, -0.15, Severity.CRITICAL),
        (0.2, 0.07, Severity.WARNING),
        (0.06, 0.3, Severity.CRITICAL),
        (0.04, 0.3, Severity.WARNING),
        (0.01, 0.3, Severity.OK),
        (0.2, 0.04, Severity.OK),
        (0.2, 0.01, Severity.OK),
        (0.2, -0.2, Severity.OK),
        (0.2, float("nan"), Severity.OK),
    ],
)
def test_a_change_must_be_there_and_larger_than_the_controls(effect, plain, severity):
    assert told(effect, plain) is severity


def test_what_may_be_chance_is_fine():
    assert told(0.2, 0.2, p=0.2) is Severity.OK
    assert told(0.2, 0.2, plain_p=0.02) is Severity.OK
