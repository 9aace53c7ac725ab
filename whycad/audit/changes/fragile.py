"""How small a change of every pixel changes the answer: what the task has stored, or a few cases of the audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.change_stats import interval_words
from whycad.audit.context import AuditContext
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.findings import Finding, Severity
from whycad.audit.run.chunk_files import failure_text
from whycad.audit.run.engine import map_batches
from whycad.audit.run.predicting import columns_digest, plugin_digest, read_cases, row_contents
from whycad.errors import ManifestError, WhyCadError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.run.engine import Worker
    from whycad.audit.run.predicting import Case
    from whycad.inference import Ensemble

CHECK_ID = "robustness"
# A search takes some thirty gradients of every member: a minute a case on two cores.
FEW_CASES = 6
# Less than one grey level of an eight-bit picture cannot be seen or even stored.
ONE_GREY_LEVEL = 1 / 255


@dataclass(frozen=True)
class FragilityJob:
    """Find the smallest change that brings another answer: ``epsilon`` (infinite where none was found), ``error``."""

    dataset: DatasetRef
    device: str = ""
    name: str = "fragility"

    @property
    def digest(self) -> str:
        """Hash of the task, and of columns that it reads beside the images."""
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        return plugin_digest(plugin, searched=1, columns=columns_digest(self.dataset, plugin))

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image."""
        return row_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Load the ensemble."""
        from whycad.inference import choose_device, load_members
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        ensemble = load_members(plugin, choose_device(self.device or None))
        dataset = self.dataset.open()

        def work(rows: Sequence[int]) -> pa.Table:
            import pyarrow as pa

            return pa.Table.from_pylist([_searched(case, ensemble) for case in read_cases(dataset, rows)])

        return work


def _searched(case: Case | WhyCadError, ensemble: Ensemble) -> dict[str, object]:
    from whycad.hooks import Hooks
    from whycad.types import AnalysisRequest
    from whycad.whatif.fragility import smallest_flip
    from whycad.whatif.request import WhatIfKind, WhatIfRequest
    from whycad.whatif.scene import open_scene
    from whycad.whatif.search import open_search

    try:
        if isinstance(case, WhyCadError):
            raise case
        study, region = case
        what = WhatIfRequest(WhatIfKind.FRAGILITY)
        scene = open_scene(study, ensemble, AnalysisRequest(region=region), what, Hooks())
        found = smallest_flip(open_search(scene)).epsilon
    except WhyCadError as error:
        return {"epsilon": math.nan, "error": failure_text(error)}
    return {"epsilon": math.inf if found is None else found, "error": ""}


def fragility_part(context: AuditContext, scope: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Return one finding: of the task's stored distribution, else of a few of the audited cases."""
    from whycad.whatif.fragility import table_of

    assert context.plugin is not None
    try:
        table = table_of(context.plugin)
    except ManifestError:
        table = None
    if table is not None:
        values = np.array([*table.epsilons, *[math.inf] * (table.n - len(table.epsilons))])
        return (_finding(context, values, f"stored with the task, {table.n} cases of {table.dataset}", ()),)
    chosen = np.random.default_rng(context.options.seed).permutation(scope)[:FEW_CASES]
    rows = context.scope[chosen].tolist()
    chunks = map_batches(FragilityJob(context.ref, context.device), rows, replace(context.engine, chunk=1))
    values = chunks.read(["epsilon"])["epsilon"].to_numpy()
    known = np.isfinite(values) | np.isinf(values)
    return (_finding(context, values[known], "searched on audited cases", context.ids(chosen[known])),)


def _finding(context: AuditContext, values: NDArray[np.float64], source: str, cases: tuple[str, ...]) -> Finding:
    n, least = len(values), context.options.least_n
    about = {"check": CHECK_ID, "column": "adversarial", "n": n, "cases": cases, "n_cases": len(cases)}
    if n < least:
        shown = f"; in these the median is {_percent(float(np.median(values)))}" if n else ""
        message = f"Fragility: not established, {n} of the {least} cases that it takes ({source}){shown}."
        return Finding.model_validate({**about, "severity": Severity.UNKNOWN, "message": message})
    generator = np.random.default_rng(context.options.seed)
    draws = np.median(generator.choice(values, (context.options.n_draws, n)), axis=1)
    low, high = np.percentile(draws, [2.5, 97.5], method="nearest")
    median = float(np.median(values))
    fragile = high < ONE_GREY_LEVEL
    first, last = _finite(low), _finite(high)
    where = interval_words(None if first is None else 100 * first, None if last is None else 100 * last)
    message = (
        f"In half of the cases a change of {_percent(median)} of the range at every pixel ({where} %) "
        "changes the answer"
        f"{', less than one grey level' if fragile else ''} ({source})."
    )
    figures = {"effect": _finite(median), "effect_name": "median smallest change, share of the range"}
    severity = Severity.WARNING if fragile else Severity.OK
    ci = {"ci_low": first, "ci_high": last}
    return Finding.model_validate({**about, **figures, **ci, "severity": severity, "message": message})


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if np.isfinite(value) else "more than the largest that was tried"
