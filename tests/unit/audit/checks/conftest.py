"""Contexts that the checks of a model are tested on: one without faults, one with planted ones."""

from __future__ import annotations

import pytest

from whycad.audit.checks import load_check
from whycad.audit.context import AuditOptions
from whycad.audit.findings import CheckResult, Severity
from whycad.testing.audits import AuditRecipe, simulated_context

WORRYING = (Severity.WARNING, Severity.CRITICAL)
FEW_DRAWS = AuditOptions(n_draws=150)
FAULTS = AuditRecipe(
    n=1000, ruler_share=(0.75, 0.2), ruler_use=2.0, weak_site=0.9, sharpness=2.5, ruler_in_features=3.0,
    options=FEW_DRAWS,
)  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return simulated_context(AuditRecipe(n=700, options=FEW_DRAWS, seed=1), tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    return simulated_context(FAULTS, tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    recipe = AuditRecipe(n=130, columns=("ruler",), options=AuditOptions(n_draws=50))
    return simulated_context(recipe, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return simulated_context(AuditRecipe(n=20, options=FEW_DRAWS), tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def checked():
    """Run a check, and assert what holds for the result of every check."""

    def run(name, context) -> CheckResult:
        result = load_check(name).run(context)
        assert CheckResult.model_validate_json(result.model_dump_json()) == result
        assert result.check == name
        assert result.method
        assert result.references
        assert result.findings
        known = set(context.cases.ids)
        for finding in result.findings:
            assert finding.check == name
            assert finding.message.endswith((".", ")"))
            assert "nan" not in finding.message
            assert set(finding.cases) <= known
            if finding.ci_low is not None and finding.ci_high is not None:
                assert finding.ci_low <= finding.ci_high
        for table in result.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
            assert table.cases in ((),) or len(table.cases) == len(table.rows)
        return result

    return run


@pytest.fixture
def worries():
    """Return the findings that ask for a look."""
    return lambda result: [finding for finding in result.findings if finding.severity in WORRYING]
