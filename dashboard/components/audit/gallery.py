"""The cases behind something: small pictures, twelve to a page; one click opens a case."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import cache
from dashboard.audit_cases import CaseBook, open_book
from dashboard.audit_place import AuditPlace
from dashboard.components.rows import rows
from dashboard.state import session
from dashboard.text import error_text, plain
from whycad.audit.data.samples import is_samples
from whycad.audit.run.runs import AuditRun
from whycad.errors import WhyCadError

PER_PAGE = 12
CASE_VIEW = "dashboard/views/case.py"
POLL_S = 1.0
MOST_PICTURES = 600


def gallery(place: AuditPlace, run: AuditRun) -> None:
    """Show the cases of the selection."""
    chosen = place.selection
    if not chosen.cases:
        return
    with st.container(border=True, key="cases-behind", gap="xsmall"):
        n = len(chosen.cases)
        of = f"{n:,}" if chosen.n <= n else f"first {n:,} of {chosen.n:,}"
        st.markdown(f"**Cases behind “{plain(chosen.title, 80)}”** · {of}")
        book = _book(run)
        if book is None:
            return
        if book.changed:
            st.caption("The data set has changed since the audit: pictures may be of other cases than those it saw.")
        page = _page(place, n)
        grid = st.grid(4, min_column_width=76, gap="xsmall")
        for case in chosen.cases[PER_PAGE * (page - 1) : PER_PAGE * page]:
            with grid.container(key=f"case-tile-{case}", gap=None):
                _tile(place, book, case)


def _book(run: AuditRun) -> CaseBook | None:
    """Open the data set; where it is gone, say so."""
    samples = cache.samples_of(run)
    if not samples and run.record is not None and is_samples(run.record.dataset):
        st.fragment(_await, run_every=POLL_S)(run)
        return None
    try:
        return open_book(run, cache.audit_of(run), samples)
    except WhyCadError as error:
        st.info(
            f"The pictures cannot be shown. {error_text(error)}  \nThe findings are unchanged.",
            icon=":material/hide_image:",
        )
        return None


def _await(run: AuditRun) -> None:
    if cache.samples_of(run):
        st.rerun()
    st.caption("The samples are being drawn")
    st.skeleton(height=120)


def _page(place: AuditPlace, n: int) -> int:
    pages = -(-n // PER_PAGE)
    if pages <= 1:
        return 1
    chosen = st.pagination(
        pages, default=min(place.page, pages), key=f"cases-page-{hash(place.selection)}", max_visible_pages=5
    )
    place.page = min(chosen or 1, pages)
    return place.page


def _tile(place: AuditPlace, book: CaseBook, case: str) -> None:
    picture = _picture(place, book, case)
    if picture:
        # The format is named so that Streamlit does not encode it anew on every run.
        st.image(picture, width="stretch", output_format="JPEG", alt=f"Case {plain(case, 40)}, {book.label(case)}")
    else:
        st.caption("no picture" if case in book else "not in the data set any more")
    label = book.label(case)
    if st.button(
        plain(case, 40), key=f"open-case-{case}", width="stretch", help=f"Label: {plain(label, 60)}" if label else None
    ):
        _open(book, case)


def _picture(place: AuditPlace, book: CaseBook, case: str) -> bytes:
    key = (book.run.name, case)
    if key not in place.pictures:
        if len(place.pictures) >= MOST_PICTURES:
            place.pictures.clear()
        place.pictures[key] = book.picture(case)
    return place.pictures[key]


def _open(book: CaseBook, case: str) -> None:
    """Open a case in the Case view; where data alone were audited, show it large."""
    record = book.run.record
    if record is not None and not record.task:
        _large(book, case)
        return
    here = session()
    try:
        opened = book.open(case)
    except WhyCadError as error:
        st.warning(error_text(error))
        return
    known = any(c.study.sha256 == opened.study.sha256 for c in here.cases.values())
    if not known and len(here.cases) >= cache.settings().max_cases:
        st.warning("The worklist is full. Close a case in the Case view first.")
        return
    here.open(opened)
    here.opened_from_audit.add(here.current)
    st.switch_page(CASE_VIEW)


def _large(book: CaseBook, case: str) -> None:
    show: Any = st.dialog(f"Case {plain(case, 40)}", width="large")(_large_body)
    show(book, case)


def _large_body(book: CaseBook, case: str) -> None:
    try:
        st.image(book.large(case), output_format="JPEG", alt=f"Case {plain(case, 40)}")
    except (WhyCadError, OSError):
        st.caption("The picture cannot be read.")
    rows(book.facts(case), key="case-facts")
