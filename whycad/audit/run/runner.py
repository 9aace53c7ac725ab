"""Run an audit: open the data set, run the checks one after the other, write what they found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad import __version__
from whycad.audit.checks import CheckSkippedError, chosen, load_check
from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.data.cases import AuditCases
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.findings import (
    Audit,
    CheckResult,
    CheckStatus,
    DataFacts,
    FailedCase,
    ModelFacts,
    RunFacts,
)
from whycad.audit.run.engine import EngineName, EngineOptions
from whycad.audit.run.status import STOP_FILE, StatusFile
from whycad.errors import DatasetError, WhyCadError
from whycad.files import write_whole
from whycad.plugin import Plugin

AUDIT_FILE = "audit.json"


@dataclass(frozen=True)
class AuditRequest:
    """What to audit and how.

    Attributes
    ----------
    dataset : Path
    out : Path
        Folder for everything that the audit writes.
    task : str
        Plugin id; empty to audit the data alone.
    split : str
        Rows that checks of the model look at; empty for all rows.
    checks : tuple of str
        Empty for all.
    engine : {"local", "ray"}
    cache : Path or None
        Folder of computed chunks; inside ``out`` by default.
    command : str
        For the record.
    """

    dataset: Path
    out: Path
    task: str = ""
    split: str = ""
    checks: tuple[str, ...] = ()
    engine: EngineName = "local"
    cache: Path | None = None
    device: str = ""
    command: str = ""
    options: AuditOptions = field(default_factory=AuditOptions)
    told: Callable[[str], None] = field(default=lambda _line: None)


def run_audit(request: AuditRequest) -> Audit:
    """Run an audit and write ``audit.json`` and one file per check below ``request.out``.

    Raises
    ------
    DatasetError
        When the data set cannot be opened or the split is empty.
    JobCancelledError
        When it was asked to stop; what was computed stays and is not computed again.
    """
    started = time.monotonic()
    request.out.mkdir(parents=True, exist_ok=True)
    (request.out / STOP_FILE).unlink(missing_ok=True)
    status = StatusFile(request.out)
    try:
        context = open_context(request, status)
        results, states = run_checks(context, request, status)
        audit = assemble(context, request, results, states, time.monotonic() - started)
        write_audit(audit, results, request.out)
    except WhyCadError as error:
        stopped = status.stop_wanted()
        status.end("stopped" if stopped else "failed", "" if stopped else str(error))
        raise
    status.end("done")
    return audit


def open_context(request: AuditRequest, status: StatusFile) -> AuditContext:
    """Open the data set and the task."""
    ref = DatasetRef(request.dataset, request.task)
    dataset = ref.open()
    for warning in dataset.cases.warnings:
        request.told(f"{dataset.cases.name}: {warning}")
    engine = EngineOptions(
        cache=request.cache or request.out / "cache",
        engine=request.engine,
        told=lambda name, done, total: _tell(request, status, name, done, total),
        stopped=status.stop_wanted,
    )
    scope = rows_of_split(dataset.cases, request.split)
    plugin = _plugin(request.task)
    return AuditContext(ref, dataset, scope, request.options, engine, request.out, plugin, request.device)


def _plugin(task: str) -> Plugin | None:
    from whycad.registry import discover

    return discover().get(task) if task else None


def _tell(request: AuditRequest, status: StatusFile, name: str, done: int, total: int) -> None:
    found = status.tell(name, done, total)
    left = "" if found.seconds_left is None else f", about {found.seconds_left:.0f} s left"
    request.told(f"{name}: {done} of {total}{left}")


def rows_of_split(cases: AuditCases, split: str) -> NDArray[np.int64]:
    """Return the row numbers of a split, or all.

    Raises
    ------
    DatasetError
        When there are none.
    """
    rows = np.flatnonzero(cases.splits == split) if split else np.arange(len(cases))
    if not len(rows):
        there = sorted(set(cases.splits.tolist()) - {""})
        remedy = (
            f"there are the splits {', '.join(there)}" if there else "the data set has no splits: leave --split out"
        )
        raise DatasetError(f"{cases.name!r} has no rows of split {split[:32]!r}", remedy=remedy)
    return np.asarray(rows, np.int64)


def run_checks(
    context: AuditContext, request: AuditRequest, status: StatusFile
) -> tuple[list[CheckResult], list[CheckStatus]]:
    """Run the checks; one that fails is named and the others go on."""
    names = chosen(request.checks, "model" if context.plugin else "data")
    status.checks_total = len(names)
    results, states = [], []
    for name in names:
        status.tell(name, 0, 0)
        if status.stop_wanted():
            from whycad.errors import JobCancelledError

            raise JobCancelledError("the audit was stopped", remedy="--resume goes on where it was")
        try:
            results.append(load_check(name).run(context))
            states.append(CheckStatus(check=name, status="done"))
        except CheckSkippedError as error:
            states.append(CheckStatus(check=name, status="skipped", why=str(error)))
        except DatasetError as error:
            states.append(CheckStatus(check=name, status="failed", why=str(error)))
        request.told(f"{name}: {states[-1].status}{': ' + states[-1].why if states[-1].why else ''}")
        status.checks_done += 1
    return results, states


def assemble(
    context: AuditContext,
    request: AuditRequest,
    results: Sequence[CheckResult],
    states: Sequence[CheckStatus],
    seconds: float,
) -> Audit:
    """Return the document."""
    return Audit(
        kind="model" if context.plugin else "data",
        model=_model_facts(context.plugin) if context.plugin else None,
        data=_data_facts(context, request),
        run=RunFacts(
            command=request.command,
            code_version=__version__,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            seed=request.options.seed,
            n_draws=request.options.n_draws,
            engine=request.engine,
            seconds=seconds,
        ),
        checks=tuple(states),
        findings=tuple(finding for result in results for finding in result.findings),
        failed=tuple(_failed(context)),
    )


def _model_facts(plugin: Plugin) -> ModelFacts:
    manifest = plugin.manifest
    return ModelFacts(
        task=plugin.id,
        title=manifest.title,
        version=manifest.version,
        weights_sha256=plugin.weights_sha256,
        evidence_level=manifest.evidence_level.value,
        labels=manifest.label_codes,
        n_members=len(manifest.weights.files),
    )


def _data_facts(context: AuditContext, request: AuditRequest) -> DataFacts:
    cases = context.cases
    counts = Counter(cases.labels[cases.labelled].tolist())
    return DataFacts(
        name=cases.name,
        kind=context.dataset.kind,
        sha256=context.dataset.sha256,
        split=request.split,
        n_rows=len(cases),
        n_scope=len(context.scope),
        n_groups=len(np.unique(context.in_scope.groups)),
        groups_known=cases.groups_known,
        simulated="answers" in vars(context) and context.answers.simulated,
        warnings=cases.warnings,
        labels={label: counts[label] for label in cases.label_order},
    )


def _failed(context: AuditContext) -> list[FailedCase]:
    """Return every row that could not be read or predicted."""
    found: dict[int, str] = {}
    if "facts" in vars(context):
        found |= {row: str(why) for row, why in enumerate(context.facts.error) if why}
    if "answers" in vars(context):
        pairs = zip(context.scope.tolist(), context.answers.error.tolist(), strict=True)
        found |= {int(row): str(why) for row, why in pairs if why}
    return [FailedCase(case=str(context.cases.ids[row]), row=row, why=found[row]) for row in sorted(found)]


def write_audit(audit: Audit, results: Sequence[CheckResult], folder: Path) -> None:
    """Write one file per check and, last, ``audit.json``."""
    (folder / "checks").mkdir(exist_ok=True)
    for result in results:
        write_whole(folder / "checks" / f"{result.check}.json", result.model_dump_json(indent=1) + "\n")
    write_whole(folder / AUDIT_FILE, audit.model_dump_json(indent=1) + "\n")


def read_audit(folder: Path) -> Audit:
    """Read ``audit.json`` of a folder.

    Raises
    ------
    DatasetError
        When there is none, or of another version.
    """
    try:
        return Audit.model_validate_json((folder / AUDIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder.name!r} holds no finished audit ({type(error).__name__})") from error


def read_result(folder: Path, check: str) -> CheckResult:
    """Read what one check found.

    Raises
    ------
    DatasetError
        When it did not run.
    """
    try:
        text = (folder / "checks" / f"{Path(check).name}.json").read_text(encoding="utf-8")
        return CheckResult.model_validate_json(text)
    except (OSError, ValueError) as error:
        raise DatasetError(f"check {check[:32]!r} did not run in {folder.name!r}") from error
