"""One audit as one HTML file: no script, no network, light and dark, and the source of the PDF."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from whycad.audit import words
from whycad.audit.findings import Audit, CheckResult
from whycad.audit.report.provenance import data_rows, metric_rows, model_rows, run_rows, split_words
from whycad.audit.report.sections import Limits, Section, not_run, section_of, verdict_rows
from whycad.audit.report.svg import PALETTE
from whycad.audit.report.tables import PageLimits
from whycad.wording import printable

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
SCREEN = Limits(PageLimits(rows=200, columns=16, cell=160, line=150), max_failed=200)
# One line of the running header.
HEADER_LIMIT = 70
# A4 upright holds nine narrow columns; what is cut is in the CSV.
PAPER = Limits(PageLimits(rows=25, columns=9, cell=80, line=100), max_failed=40)


@dataclass(frozen=True)
class AuditContent:
    """What a report of an audit is made of.

    Attributes
    ----------
    audit : Audit
    results : tuple of CheckResult
        In the order in which they are shown.
    folder : Path
        The audit's, for its pictures.
    with_pictures : bool
    """

    audit: Audit
    results: tuple[CheckResult, ...]
    folder: Path
    with_pictures: bool = True


def html_audit(content: AuditContent, *, paper: bool = False) -> str:
    """Return a whole page that stands alone; every value in it is escaped.

    Parameters
    ----------
    content : AuditContent
    paper : bool
        Whether it is for the PDF, where tables are cut to what a page can hold.
    """
    audit = content.audit
    return (
        _environment()
        .get_template("audit_report.html.j2")
        .render(
            title=words.audit_title(audit),
            short_title=printable(words.audit_title(audit), HEADER_LIMIT),
            scope=words.scope_words(audit),
            banners=words.banners(audit),
            kind=audit.kind,
            counts=[(severity, n) for severity, n in words.verdict_counts(audit.findings).items()],
            verdict=verdict_rows(audit.findings, content.results),
            metrics=metric_rows(audit),
            sections=_sections(content, PAPER if paper else SCREEN),
            not_run=not_run(audit),
            failed=[(printable(case.case, 60), case.row, printable(case.why, 200)) for case in audit.failed],
            max_failed=(PAPER if paper else SCREEN).max_failed,
            split=split_words(audit),
            model=model_rows(audit),
            data=data_rows(audit),
            run=run_rows(audit),
            words=words,
            palette=PALETTE,
            created=audit.run.created_utc,
            paper=paper,
        )
    )


def _sections(content: AuditContent, limits: Limits) -> list[Section]:
    trusted = content.audit.run.trusted
    folder = content.folder if content.with_pictures else None
    return [section_of(result, trusted.get(result.check, ""), folder, limits) for result in content.results]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
