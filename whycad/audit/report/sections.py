"""What each section of an audit's report says, as plain text and pictures, before it becomes HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from whycad.audit import words
from whycad.audit.findings import Audit, Chart, CheckResult, Finding, Severity
from whycad.audit.report.charts import draw_chart
from whycad.audit.report.mini_plot import Reaches, draw_mini, reaches
from whycad.audit.report.pictures import MAX_PICTURES, picture_uri
from whycad.audit.report.tables import PageLimits, PageTable, on_page
from whycad.wording import printable

MAX_NAMED_CASES = 8
MESSAGE_LIMIT = 500
DOI = re.compile(r"(?:https://doi\.org/|\bdoi: ?)(10\.\d{4,9}/[\w.()/:;<>-]*[\w)>])\.?$", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """How much a report shows: of each table, and of the list of failed cases."""

    table: PageLimits
    max_failed: int


@dataclass(frozen=True)
class VerdictRow:
    """One line: severity, what it is about, what was found, its effect drawn and in words.

    ``anchor`` is the section's, empty where there is none; ``basis`` says what the effect is and on how
    many cases it rests.
    """

    severity: Severity
    area: str
    message: str
    plot: Markup
    effect: str
    anchor: str
    basis: str
    cases: str


@dataclass(frozen=True)
class Figure:
    """A chart with its words."""

    title: str
    svg: Markup
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A citation, and its DOI's address where it ends with one."""

    text: str
    address: str


@dataclass(frozen=True)
class Section:
    """One check."""

    anchor: str
    title: str
    worst: Severity | None
    question: str
    method: str
    note: str
    trusted: str
    references: tuple[Reference, ...]
    findings: tuple[VerdictRow, ...]
    figures: tuple[Figure, ...]
    tables: tuple[PageTable, ...]
    pictures: tuple[tuple[str, str], ...]
    pictures_left_out: int


def anchor_of(check: str) -> str:
    """Return where a check's section is."""
    return f"check-{re.sub(r'[^a-z0-9_-]+', '-', check.casefold())[:60]}"


def verdict_rows(findings: Iterable[Finding], results: Sequence[CheckResult] = ()) -> list[VerdictRow]:
    """Return the lines of the verdict, the most pressing first."""
    ordered = words.in_verdict_order(findings)
    shown = {result.check for result in results}
    scales = reaches(ordered)
    return [_row(finding, scales, anchor_of(finding.check) if finding.check in shown else "") for finding in ordered]


def _row(finding: Finding, scales: Reaches, anchor: str) -> VerdictRow:
    basis = [printable(finding.effect_name, 80)] if finding.effect is not None and finding.effect_name else []
    return VerdictRow(
        severity=finding.severity,
        area=words.area(finding.check),
        message=printable(finding.message, MESSAGE_LIMIT),
        plot=draw_mini(finding, scales),
        effect=words.effect_words(finding),
        anchor=anchor,
        basis=", ".join([*basis, *([f"n = {finding.n:,}"] if finding.n else [])]),
        cases=cases_words(finding),
    )


def cases_words(finding: Finding) -> str:
    """Return the first cases behind a finding and how many there are; empty where it has none."""
    if not finding.cases:
        return ""
    named = [printable(case, 40) for case in finding.cases[:MAX_NAMED_CASES]]
    total = max(finding.n_cases, len(finding.cases))
    rest = total - len(named)
    return f"{', '.join(named)}{f' and {rest:,} more' if rest else ''}"


def section_of(result: CheckResult, trusted: str, folder: Path | None, limits: Limits) -> Section:
    """Return a check's section; without ``folder`` it has no pictures."""
    rows = verdict_rows(result.findings)
    pictures = _pictures(result, folder)
    return Section(
        anchor=anchor_of(result.check),
        title=printable(result.title, 100),
        worst=rows[0].severity if rows else None,
        question=printable(result.question, MESSAGE_LIMIT),
        method=printable(result.method, 2000),
        note=printable(result.note, 1000),
        trusted=printable(trusted, 300),
        references=tuple(map(reference_of, result.references)),
        findings=tuple(rows),
        figures=tuple(map(figure_of, result.charts)),
        tables=tuple(on_page(table, result.check, limits.table) for table in result.tables),
        pictures=pictures,
        pictures_left_out=max(0, len(result.pictures) - MAX_PICTURES) if folder is not None else 0,
    )


def figure_of(chart: Chart) -> Figure:
    """Return a chart as a figure; one with nothing to draw says so."""
    drawn = draw_chart(chart)
    notes = tuple(note for note in (printable(chart.note, 600), drawn.remark) if note)
    return Figure(printable(chart.title, 200), drawn.svg, notes)


def reference_of(text: str) -> Reference:
    """Return a citation with the address of its DOI, if it ends with one."""
    line = printable(text, 400)
    found = DOI.search(line)
    return Reference(line[: found.start()].rstrip(), f"https://doi.org/{found[1]}") if found else Reference(line, "")


def _pictures(result: CheckResult, folder: Path | None) -> tuple[tuple[str, str], ...]:
    if folder is None:
        return ()
    shown = [(picture_uri(folder, picture), picture) for picture in result.pictures[:MAX_PICTURES]]
    return tuple(
        (uri, printable(f"{picture.caption} ({picture.case})" if picture.case else picture.caption, 160))
        for uri, picture in shown
        if uri
    )


def not_run(audit: Audit) -> list[tuple[str, str, str]]:
    """Return the checks that did not run: what they are, whether skipped or failed, and why."""
    return [
        (printable(state.check.replace("_", " "), 60).capitalize(), state.status, printable(state.why, 300))
        for state in audit.checks
        if state.status != "done"
    ]
