"""The sidebar of the Case view: upload, worklist, samples."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import cache, work
from dashboard.components.buttons import look
from dashboard.components.picker import picker
from dashboard.state import OpenCase, Session, new_id
from dashboard.text import error_text, plain
from whycad.imaging import StudyItem, read_studies
from whycad.registry import Registry
from whycad.types import Study

SHORT_MODALITIES = {"OPT": "OCT", "OPTBSV": "OCT"}


def opener(session: Session, registry: Registry) -> None:
    """Show every way to open a case."""
    st.markdown("##### Open a case")
    _upload(session)
    _worklist(session)
    picker(session, registry)


def _upload(session: Session) -> None:
    files = st.file_uploader(
        "DICOM, PNG, JPEG or ZIP",
        accept_multiple_files=True,
        key=f"upload-{session.uploader}",
        help="All slices of a series together, or a ZIP of them, become one volume; other files one case each. "
        "Contents decide, whatever a file is called. Files are decoded in a separate, limited process; names and "
        "patient data are not kept.",
    )
    if files:
        contents = [file.getvalue() for file in files]
        # A new key empties the uploader: neither names nor bytes stay behind.
        session.uploader += 1
        session.problems = []
        with st.spinner(f"Reading {len(contents)} file{'s' if len(contents) > 1 else ''}"):
            _open_all(session, contents)
        st.rerun()
    for problem in session.problems:
        st.error(problem, icon=":material/error:")


def _open_all(session: Session, contents: Sequence[bytes]) -> None:
    """Open what the files hold, each image or volume as one case; the first of them is shown."""
    first = ""
    for item in read_studies(contents):
        _open_one(session, item)
        first = first or (session.current if item.study is not None else "")
    session.current = first if first in session.cases else session.current


def _open_one(session: Session, item: StudyItem) -> None:
    which = files_words(item.sources)
    if item.study is None:
        session.problems.append(f"{which}: {error_text(item.error)}" if item.error is not None else which)
    elif len(session.cases) >= cache.settings().max_cases:
        session.problems.append(f"{which}: the worklist is full. Close a case first.")
    else:
        session.open(OpenCase(new_id(), upload_title(item.study), item.study, "upload"))


def files_words(sources: Sequence[int]) -> str:
    """Name files by their numbers, counted from 1: ``File 3``, ``Files 1 to 48``, ``Files 2, 5, 9``."""
    numbers = sorted(index + 1 for index in sources)
    if len(numbers) == 1:
        return f"File {numbers[0]}"
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"Files {numbers[0]} to {numbers[-1]}"
    listed = ", ".join(map(str, numbers[:6]))
    return f"Files {listed}" + (f" and {len(numbers) - 6} more" if len(numbers) > 6 else "")


def upload_title(study: Study) -> str:
    """Return a title that names no patient and no file."""
    short = study.sha256[:8]
    if len(study.spatial_shape) == 2:
        return f"Upload {short}"
    kind = SHORT_MODALITIES.get(study.modality, study.modality)
    return f"{plain(kind, 8)} {short}, {study.spatial_shape[0]} slices"


def _worklist(session: Session) -> None:
    if not session.cases:
        return
    st.markdown(f"##### Worklist ({len(session.cases)})")
    for case in list(session.cases.values()):
        with st.container(horizontal=True, gap="xxsmall", wrap=False):
            if st.button(
                plain(case.title, 40), key=f"show-{case.id}", type=look(case.id == session.current), width="stretch"
            ):
                session.current = case.id
                st.rerun()
            if st.button(
                f"Close {plain(case.title, 40)}", key=f"close-{case.id}", type="tertiary", icon=":material/close:"
            ):
                work.close(session, case.id)
                st.rerun()
