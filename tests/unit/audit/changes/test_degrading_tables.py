"""What is said of worse images that do not clearly matter: only what is shown to cost little is called fine."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.change_stats import Effect
from whycad.audit.changes.degrading import Degraded
from whycad.audit.changes.degrading_tables import degraded_findings
from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.findings import Severity
from whycad.testing.audits import AuditRecipe, simulated_context

NOTHING = Effect(0.0, 0.0, 0.0, 1.0, 30)


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> AuditContext:
    return simulated_context(AuditRecipe(n=40, options=AuditOptions(n_draws=20)), tmp_path_factory.mktemp("worse"))


def degraded(kind: str, value: float, low: float | None, high: float | None, p: float = 1.0) -> Degraded:
    return Degraded(kind, Effect(value, low, high, p, 30), NOTHING, NOTHING, 20, np.arange(0))


def test_only_what_is_shown_to_cost_little_is_fine(audited):
    found = [
        degraded("noise", -0.03, -0.16, 0.10),
        degraded("blur", -0.01, -0.04, 0.02),
        degraded("compression", 0.0, -0.07, 0.07),
    ]
    fine, unknown = degraded_findings(audited, found)
    assert (fine.severity, unknown.severity) == (Severity.OK, Severity.UNKNOWN)
    assert fine.message == (
        "At strength 3, balanced accuracy falls by less than 0.05 with blur, and errors among the reported cases do "
        "not clearly rise; the largest change in balanced accuracy is -0.01 (-0.04 to 0.02)."
    )
    assert unknown.message == (
        "Not shown to be harmless at strength 3: noise and JPEG compression; balanced accuracy could fall by as much "
        "as 0.16 (noise, n = 30)."
    )
    assert (unknown.effect, unknown.ci_low, unknown.ci_high, unknown.n) == (-0.03, -0.16, 0.10, 30)


def test_a_single_corruption_is_named_once(audited):
    (finding,) = degraded_findings(audited, [degraded("blur", -0.03, -0.11, 0.0)])
    assert finding.message == (
        "Not shown to be harmless at strength 3: blur; balanced accuracy could fall by as much as 0.11 (n = 30)."
    )


def test_without_an_interval_nothing_is_shown(audited):
    (finding,) = degraded_findings(audited, [degraded("blur", float("nan"), None, None)])
    assert finding.severity is Severity.UNKNOWN
    assert "by an unknown amount" in finding.message


def test_a_clear_loss_is_still_a_finding_of_its_own(audited):
    found = [degraded("noise", -0.2, -0.3, -0.1, 0.001), degraded("blur", 0.0, 0.0, 0.0)]
    loud, fine = degraded_findings(audited, found)
    assert (loud.severity, fine.severity) == (Severity.WARNING, Severity.OK)
    assert loud.column == "noise"
