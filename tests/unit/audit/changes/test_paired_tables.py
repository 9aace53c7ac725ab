"""What is said of artefacts that do not clearly matter: only what is shown to be small is called fine."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.change_stats import Effect
from whycad.audit.changes.paired import Paired
from whycad.audit.changes.paired_tables import Wording, paired_charts, paired_findings
from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.findings import Severity
from whycad.testing.audits import AuditRecipe, simulated_context

WORDING = Wording("artefact_insertion", "inserting", "inserted", lambda kind: f"a {kind}")
NOTHING = Effect(0.0, -0.01, 0.01, 1.0, 40)


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> AuditContext:
    return simulated_context(AuditRecipe(n=40, options=AuditOptions(n_draws=20)), tmp_path_factory.mktemp("paired"))


def effect(value: float, half: float, p: float = 1.0, n: int = 40) -> Effect:
    return Effect(value, value - half, value + half, p, n)


def paired(plain: dict[str, Effect], against: dict[str, Effect] | None = None) -> Paired:
    """Return what artefacts did to one label: against the image, and against the control."""
    kinds, n = tuple(plain), 40
    effects = {(kind, "c1"): (against or {}).get(kind, NOTHING) for kind in kinds}
    change, flips = np.zeros((len(kinds), n, 1)), np.zeros((len(kinds), 2, n))
    alone = {(kind, "c1"): one for kind, one in plain.items()}
    return Paired(np.arange(n), kinds, ("c1",), change, flips, np.zeros(len(kinds)), effects, alone)


def test_what_is_shown_to_be_small_is_fine(audited):
    found = paired({"ruler": effect(0.02, 0.03), "hair": effect(-0.01, 0.02)})
    (finding,) = paired_findings(audited, found, WORDING)
    assert finding.severity is Severity.OK
    assert finding.message == (
        "Inserting a ruler and a hair moves no probability by 0.10 or more on average; the largest change is +0.02 "
        "(-0.01 to 0.05), by a ruler."
    )
    assert (finding.effect, finding.n) == (0.02, 40)


def test_what_is_not_shown_to_be_small_is_not_called_fine(audited):
    found = paired({"ruler": effect(0.02, 0.03), "hair": effect(-0.04, 0.13, n=30), "ink": effect(0.0, 0.12)})
    fine, unknown = paired_findings(audited, found, WORDING)
    assert (fine.severity, unknown.severity) == (Severity.OK, Severity.UNKNOWN)
    assert "hair" not in fine.message
    assert unknown.message == (
        "Not shown to be small: inserting a hair could move a probability by up to 0.17 (n = 30) and a ink by up to "
        "0.12 (n = 40)."
    )
    assert (unknown.effect, unknown.ci_low, unknown.n) == (-0.04, -0.17, 30)
    (chart,) = paired_charts(audited, found, WORDING)
    assert {mark.y: mark.severity for mark in chart.series[0].marks} == {
        "ruler": Severity.OK,
        "hair": Severity.UNKNOWN,
        "ink": Severity.UNKNOWN,
    }


def test_a_control_that_moves_more_is_said_to(audited):
    against = {"ruler": effect(-0.12, 0.07, 0.001)}
    (finding,) = paired_findings(audited, paired({"ruler": effect(-0.02, 0.03)}, against), WORDING)
    assert finding.severity is Severity.OK
    assert "largest change is -0.02 (-0.05 to 0.01); a control of equal size moves a probability" in finding.message
    assert "further (a ruler less control: -0.12, -0.19 to -0.05)." in finding.message
    (finding,) = paired_findings(audited, paired({"ruler": effect(-0.02, 0.12)}, against), WORDING)
    assert finding.severity is Severity.UNKNOWN
    assert "by up to 0.14 (n = 40; a control moves it further)" in finding.message


def test_what_any_change_of_this_size_does_is_neither_fine_nor_the_artefacts_own(audited):
    (finding,) = paired_findings(audited, paired({"ruler": effect(0.3, 0.05, 0.001)}), WORDING)
    assert finding.severity is Severity.UNKNOWN
    assert "by up to 0.35 (n = 40; not clearly more than a control)" in finding.message


def test_without_an_interval_nothing_is_shown(audited):
    found = paired({"ruler": Effect(float("nan"), None, None, 1.0, 40)})
    (finding,) = paired_findings(audited, found, WORDING)
    assert finding.severity is Severity.UNKNOWN
    assert "by an unknown amount" in finding.message
