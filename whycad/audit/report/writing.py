"""Write everything that people read of an audit into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whycad.audit.findings import Audit, CheckResult
from whycad.audit.report.html import AuditContent, html_audit
from whycad.audit.report.pdf import write_pdf
from whycad.audit.report.tables import write_tables
from whycad.errors import ReportError
from whycad.files import write_whole

HTML_FILE = "report.html"
PDF_FILE = "report.pdf"


@dataclass(frozen=True)
class ReportOptions:
    """What a report is made with.

    Attributes
    ----------
    pdf : bool
        Whether ``report.pdf`` is made too, which takes a quarter of a second per page.
    with_pictures : bool
        Whether images of the data set are put into the report.
    """

    pdf: bool = False
    with_pictures: bool = True


def write_report(
    audit: Audit, results: Sequence[CheckResult], folder: Path, options: ReportOptions | None = None
) -> str:
    """Write ``report.html``, ``tables/`` and, where asked for, ``report.pdf`` below an audit's folder.

    Returns
    -------
    str
        Why there is no PDF though it was asked for; empty where all is there. A PDF of an earlier run
        never stays beside a newer report.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    options = options or ReportOptions()
    content = AuditContent(audit, tuple(results), folder, options.with_pictures)
    write_tables(results, folder)
    write_whole(folder / HTML_FILE, html_audit(content))
    (folder / PDF_FILE).unlink(missing_ok=True)
    if not options.pdf:
        return ""
    try:
        write_pdf(html_audit(content, paper=True), folder / PDF_FILE)
    except ReportError as error:
        return str(error)
    return ""
