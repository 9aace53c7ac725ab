"""Ways of acquisition are called alike only where their intervals show it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from whycad.audit.changes.acquisition import LARGE, acquisition_part
from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.data.cases import MetadataColumn
from whycad.audit.findings import Severity
from whycad.testing.audits import AuditRecipe, context_of, simulated_context


def scanned(folder, n: int, n_scanners: int) -> AuditContext:
    """Return the context of a model that does not mind the scanner."""
    drawn = simulated_context(AuditRecipe(n=n, prevalence=(0.5, 0.5), options=AuditOptions(n_draws=200)), folder)
    names = np.array([f"s{i % n_scanners}" for i in range(n)], np.str_)
    cases = replace(drawn.cases, columns=(MetadataColumn("scanner", "category", names),))
    return context_of(cases, drawn.answers.members, folder, drawn.options)


def test_scanners_with_many_cases_are_alike(tmp_path):
    (finding,), _, _ = acquisition_part(scanned(tmp_path, 1200, 2))
    assert finding.severity is Severity.OK
    assert "differs from that of all others by less than 0.15" in finding.message
    assert max(abs(finding.ci_low), abs(finding.ci_high)) < LARGE


def test_few_cases_do_not_show_that_scanners_are_alike(tmp_path):
    findings, (table,), _ = acquisition_part(scanned(tmp_path, 128, 4))
    (finding,) = [finding for finding in findings if finding.severity is Severity.UNKNOWN]
    assert finding.message.startswith("Not shown to be alike: with scanner s")
    assert finding.n == 32
    assert f"could differ by as much as {max(-finding.ci_low, finding.ci_high):.2f} (n = 32)." in finding.message
    named = [name for _, name, *_ in table.rows if f"scanner {name}" in finding.message]
    far = {name: max(-low, high) for _, name, _, low, high, *_ in table.rows}
    assert sorted(named) == sorted(name for name in far if far[name] >= LARGE)
