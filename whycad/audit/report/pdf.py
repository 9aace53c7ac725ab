"""The PDF of an audit, laid out by WeasyPrint from the same HTML.

WeasyPrint needs Pango, a system library: it is imported only here and only when a PDF is made, and
where it is missing everything else of an audit is written all the same.
"""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from PIL import ImageFile

from whycad.errors import ReportError

REMEDY = (
    "on Debian or Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0; "
    "on macOS: brew install pango; or open report.html in a browser and print it"
)


def pdf_from_html(html: str) -> bytes:
    """Lay a report out on A4 pages.

    Nothing is fetched: only ``data:`` addresses are read. The same HTML gives the same bytes.

    Parameters
    ----------
    html : str
        What ``html_audit(..., paper=True)`` returned.

    Raises
    ------
    ReportError
        When WeasyPrint or the system's Pango is missing.
    """
    weasyprint = _weasyprint()
    # It logs characters that no font has, and those are of the user's own labels.
    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",), fail_on_errors=False)
    return bytes(weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf())


def write_pdf(html: str, path: Path) -> None:
    """Write a report as PDF, whole or not at all.

    Raises
    ------
    ReportError
        When it cannot be made, or not be written.
    """
    body = pdf_from_html(html)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(body)
        partial.replace(path)
    except OSError as error:
        raise ReportError(f"{path.name!r} cannot be written ({error.strerror or type(error).__name__})") from error
    finally:
        partial.unlink(missing_ok=True)


def _weasyprint() -> ModuleType:
    strict = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        # Where a library is missing it writes an essay to standard output before it raises.
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("weasyprint")
            importlib.import_module("weasyprint.urls")
    except ImportError as error:
        raise ReportError("the PDF needs WeasyPrint, which is missing", remedy="pip install weasyprint") from error
    except OSError as error:
        raise ReportError("the PDF needs the Pango library, which this system lacks", remedy=REMEDY) from error
    finally:
        # Its import tells Pillow to take files that are cut short, for the whole process.
        ImageFile.LOAD_TRUNCATED_IMAGES = strict
    return module
