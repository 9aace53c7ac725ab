"""Groups and patients on both sides of a split: the model has met them before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import wilson_interval
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import UNKNOWN, AuditCases
from whycad.audit.data_words import count
from whycad.audit.findings import MAX_CASES, CheckResult, Column, Finding, Severity, Table

MAX_ROWS = 1000


def run(context: AuditContext) -> CheckResult:
    """Look for groups and patients in more than one split."""
    cases = context.cases
    if len(set(cases.splits.tolist()) - {UNKNOWN}) < 2:
        raise CheckSkippedError("the data set has no two splits")
    kinds: dict[str, NDArray[np.str_]] = {}
    if cases.groups_known:
        kinds["group"] = cases.groups
    if cases.patients is not None and not np.array_equal(cases.patients, cases.groups):
        kinds["patient"] = cases.patients
    if not kinds:
        return _result([_not_known(cases)], [])
    shared = {kind: crossing(values, cases.splits) for kind, values in kinds.items()}
    findings = [_finding(cases, kind, kinds[kind], names) for kind, names in shared.items()]
    tables = [_table(cases, kind, kinds[kind], names) for kind, names in shared.items() if names]
    return _result(findings, tables)


def crossing(values: NDArray[np.str_], splits: NDArray[np.str_]) -> list[str]:
    """Return the known values that occur in more than one split."""
    where: dict[str, set[str]] = {}
    for value, split in zip(values.tolist(), splits.tolist(), strict=True):
        if UNKNOWN not in (value, split):
            where.setdefault(value, set()).add(split)
    return [value for value, found in where.items() if len(found) > 1]


def _not_known(cases: AuditCases) -> Finding:
    message = (
        "Not established: the data set names neither patients nor groups, so that nobody can tell whether splits "
        "share them."
    )
    return Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases))


def _finding(cases: AuditCases, kind: str, values: NDArray[np.str_], names: list[str]) -> Finding:
    rows = np.flatnonzero(np.isin(values, names))
    n_all = len(set(values.tolist()) - {UNKNOWN})
    share = len(names) / max(n_all, 1)
    low, high = wilson_interval(share, max(n_all, 1))
    if names:
        message = (
            f"{count(len(names), kind)} of {n_all:,} {'has' if len(names) == 1 else 'have'} images in more than one "
            f"split ({count(len(rows), 'image')}): results on one split are not independent of the other."
        )
    else:
        message = f"None of {count(n_all, kind)} has images in more than one split."
    return Finding(
        check=CHECK.id,
        severity=Severity.CRITICAL if names else Severity.OK,
        message=message,
        column=kind,
        effect=share,
        effect_name=f"share of {kind}s",
        ci_low=low,
        ci_high=high,
        n=n_all,
        cases=tuple(str(name) for name in cases.ids[rows][:MAX_CASES]),
        n_cases=len(rows),
    )


def _table(cases: AuditCases, kind: str, values: NDArray[np.str_], names: list[str]) -> Table:
    shown = names[:MAX_ROWS]
    members = {name: np.flatnonzero(values == name) for name in shown}
    splits = {name: ", ".join(sorted(set(cases.splits[rows].tolist()) - {UNKNOWN})) for name, rows in members.items()}
    return Table(
        key=f"{kind}s",
        title=f"{kind.capitalize()}s in more than one split",
        columns=(
            Column(key=kind, title=kind.capitalize()),
            Column(key="n", title="Images"),
            Column(key="splits", title="Splits"),
        ),
        # What a patient is called is nobody's business; the cases say which images are meant.
        rows=tuple((f"{kind} {i}", len(members[name]), splits[name]) for i, name in enumerate(shown, 1)),
        cases=tuple(tuple(str(i) for i in cases.ids[members[name]][:MAX_CASES]) for name in shown),
    )


def _result(findings: list[Finding], tables: list[Table]) -> CheckResult:
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="Every group (a lesion, a run of neighbouring images) and every patient is looked up in every split. "
        "One that is on two sides makes results look better than they are. The interval of the share is Wilson's.",
        references=("Kapoor 2023, doi:10.1016/j.patter.2023.100804",),
        findings=tuple(findings),
        tables=tuple(tables),
    )


CHECK = Check("group_across_splits", "Patients and groups across splits", "Is anybody on both sides of a split?", run)
