"""Run an audit: open the data set, run the checks one after the other, write what they found."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from whycad import __version__
from whycad.audit.checks import CheckSkippedError, chosen, load_check
from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.data.chosen import rows_of_split, rows_where
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
from whycad.audit.qa.trusted import trusted
from whycad.audit.report.writing import PDF_FILE, ReportOptions, write_report
from whycad.audit.run.engine import EngineName, EngineOptions
from whycad.audit.run.record import RunRecord, absolute, write_record
from whycad.audit.run.status import StatusFile, forget_old_stop
from whycad.errors import DatasetError, ExplanationError, PredictionError, WhyCadError
from whycad.files import write_whole
from whycad.plugin import Plugin

logger = logging.getLogger(__name__)
AUDIT_FILE = "audit.json"
# Figures of the model in the schema of a plugin's performance.json; `whycad card --from` reads them.
FIGURES_FILE = "performance.json"


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
    where : tuple of str
        What these rows must hold beside, such as ``near_fold_border=False`` or ``site!=ear``.
    checks : tuple of str
        Empty for all.
    engine : {"local", "ray"}
    cache : Path or None
        Folder of computed chunks; inside ``out`` by default.
    command : str
        For the record.
    pdf : bool
        Whether the report is laid out as PDF too.
    """

    dataset: Path
    out: Path
    task: str = ""
    split: str = ""
    where: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    engine: EngineName = "local"
    cache: Path | None = None
    device: str = ""
    command: str = ""
    pdf: bool = False
    options: AuditOptions = field(default_factory=AuditOptions)
    told: Callable[[str], None] = field(default=lambda _line: None)


def run_audit(request: AuditRequest) -> Audit:
    """Run an audit and write ``audit.json``, one file per check, and the report below ``request.out``.

    Raises
    ------
    DatasetError
        When the data set cannot be opened or the split is empty.
    JobCancelledError
        When it was asked to stop; what was computed stays and is not computed again.
    """
    started = time.monotonic()
    request.out.mkdir(parents=True, exist_ok=True)
    forget_old_stop(request.out)
    status = StatusFile(request.out)
    write_record(_record(request), request.out)
    try:
        context = open_context(request, status)
        results, states = run_checks(context, request, status)
        _write_figures(context, request.out)
        audit = assemble(context, request, results, states, time.monotonic() - started)
        missing = write_audit(audit, results, request.out, ReportOptions(pdf=request.pdf))
    except WhyCadError as error:
        stopped = status.stop_wanted()
        status.end("stopped" if stopped else "failed", "" if stopped else str(error))
        raise
    status.end("done")
    if missing:
        request.told(f"no {PDF_FILE}: {missing}")
    return audit


def _record(request: AuditRequest) -> RunRecord:
    names = ("task", "split", "where", "checks", "engine", "device", "pdf", "options")
    cache = request.cache and request.cache.resolve()
    return RunRecord(dataset=absolute(request.dataset), cache=cache, **{name: getattr(request, name) for name in names})


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
    scope = rows_where(dataset.cases, rows_of_split(dataset.cases, request.split), request.where)
    plugin = _plugin(request.task)
    return AuditContext(
        ref,
        dataset,
        scope,
        request.options,
        engine,
        request.out,
        plugin,
        request.device,
        request.split,
        request.command,
    )


def _plugin(task: str) -> Plugin | None:
    from whycad.registry import discover

    return discover().get(task) if task else None


def _tell(request: AuditRequest, status: StatusFile, name: str, done: int, total: int) -> None:
    found = status.tell(name, done, total)
    left = "" if found.seconds_left is None else f", about {found.seconds_left:.0f} s left"
    request.told(f"{name}: {done} of {total}{left}")


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
        except (DatasetError, PredictionError, ExplanationError) as error:
            # Without predictions no other check has anything to look at either.
            if isinstance(error, PredictionError) and context.plugin and "predictions" not in vars(context):
                raise
            states.append(CheckStatus(check=name, status="failed", why=str(error)))
        except WhyCadError:
            raise
        except Exception as error:  # noqa: BLE001 - an error in one check must not lose what the others found
            # The message of a foreign error may quote a cell: only its kind and place are logged.
            place = traceback.extract_tb(error.__traceback__)[-1]
            logger.warning(
                "check %s raised %s in %s:%s", name, type(error).__name__, Path(place.filename).name, place.lineno
            )
            why = f"it raised {type(error).__name__}; this is a fault of the check, not of the data"
            states.append(CheckStatus(check=name, status="failed", why=why))
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
            split_uses=_split_uses(context),
            trusted=trusted([state.check for state in states if state.status == "done"]),
        ),
        checks=tuple(states),
        findings=tuple(finding for result in results for finding in result.findings),
        failed=tuple(_failed(context)),
        metrics={name: figures for result in results for name, figures in result.metrics.items()},
    )


def _write_figures(context: AuditContext, folder: Path) -> None:
    """Write what the model card is renewed with, where a model was judged by labels."""
    if "answers" in vars(context) and context.answers.judged.any():
        from whycad.audit.audit_performance import write_performance

        write_performance(context, folder / FIGURES_FILE)


def _split_uses(context: AuditContext) -> int:
    """Record the use of a named split, whichever checks ran, and return how often it was used with this time."""
    if "answers" not in vars(context):
        return 0
    from whycad.audit.split_use import is_counted, split_use

    return len(split_use(context).uses) if is_counted(context) else 0


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
        where=request.where,
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


def write_audit(
    audit: Audit, results: Sequence[CheckResult], folder: Path, options: ReportOptions | None = None
) -> str:
    """Write one file per check, ``audit.json``, and then what people read of it.

    Returns
    -------
    str
        Why there is no PDF though it was asked for; empty where all is there.
    """
    (folder / "checks").mkdir(exist_ok=True)
    for result in results:
        write_whole(folder / "checks" / f"{result.check}.json", result.model_dump_json(indent=1) + "\n")
    write_whole(folder / AUDIT_FILE, audit.model_dump_json(indent=1) + "\n")
    return write_report(audit, results, folder, options)


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


def read_results(folder: Path, audit: Audit) -> tuple[CheckResult, ...]:
    """Read what all checks of an audit found that ran, in their order.

    Raises
    ------
    DatasetError
        When the file of one is missing or broken.
    """
    return tuple(read_result(folder, state.check) for state in audit.checks if state.status == "done")
