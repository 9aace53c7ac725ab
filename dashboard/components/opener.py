"""The sidebar of the Case view: upload, worklist, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from dashboard import cache, work
from dashboard.state import OpenCase, Session, Source, new_id
from dashboard.text import error_text, plain
from whycad.errors import WhyCadError
from whycad.imaging import read_study
from whycad.registry import Registry
from whycad.types import Study

PAGE = 8
POLL_S = 0.7


@dataclass(frozen=True)
class Tile:
    """A case that can be picked."""

    key: str
    name: str
    alt: str
    thumbnail: bytes
    sha256: str
    open: Callable[[], OpenCase]


def opener(session: Session, registry: Registry) -> None:
    """Show every way to open a case."""
    st.markdown("##### Open a case")
    _upload(session)
    _worklist(session)
    for entry in registry.entries:
        if entry.manifest is not None and entry.manifest.code.phantom is not None:
            _samples(session, entry.id)
    for entry in registry.entries:
        if entry.manifest is not None:
            _real_cases(session, entry.id)


def _upload(session: Session) -> None:
    files = st.file_uploader(
        "DICOM, PNG or JPEG",
        accept_multiple_files=True,
        key=f"upload-{session.uploader}",
        help="Contents decide, whatever the file is called. Files are decoded in a separate, limited process; "
        "names and patient data are not kept.",
    )
    if files:
        contents = [file.getvalue() for file in files]
        # A new key empties the uploader: neither names nor bytes stay behind.
        session.uploader += 1
        session.problems = []
        with st.spinner(f"Reading {len(contents)} file{'s' if len(contents) > 1 else ''}"):
            for number, content in enumerate(contents, start=1):
                _read(session, content, number)
        st.rerun()
    for problem in session.problems:
        st.error(problem, icon=":material/error:")


def _read(session: Session, content: bytes, number: int) -> None:
    if len(session.cases) >= cache.settings().max_cases:
        session.problems.append(f"File {number}: the worklist is full. Close a case first.")
        return
    try:
        study = read_study(content)
    except WhyCadError as error:
        session.problems.append(f"File {number}: {error_text(error)}")
        return
    session.open(OpenCase(new_id(), f"Upload {study.sha256[:8]}", study, "upload"))


def _worklist(session: Session) -> None:
    if not session.cases:
        return
    st.markdown(f"##### Worklist ({len(session.cases)})")
    for case in list(session.cases.values()):
        with st.container(horizontal=True, gap="xxsmall", wrap=False):
            if st.button(
                plain(case.title, 40), key=f"show-{case.id}", type=_kind(case.id == session.current), width="stretch"
            ):
                session.current = case.id
                st.rerun()
            if st.button(
                f"Close {plain(case.title, 40)}", key=f"close-{case.id}", type="tertiary", icon=":material/close:"
            ):
                work.close(session, case.id)
                st.rerun()


def _kind(chosen: bool) -> Literal["primary", "secondary"]:
    return "primary" if chosen else "secondary"


def _samples(session: Session, plugin_id: str) -> None:
    st.markdown("##### Samples, simulated")
    shelf = cache.sample_shelf(plugin_id)
    shelf.poll(cache.job_queue())
    if not shelf.ready:
        st.fragment(_await_samples, run_every=POLL_S)(plugin_id)
        return
    if shelf.failed:
        st.caption(f"No samples: {plain(shelf.failed, 300)}")
    tiles = [
        Tile(
            f"sample-{plugin_id}-{index}",
            case.name,
            f"Simulated: {case.description}",
            shelf.thumbnails[index],
            case.study.sha256,
            _opening(case.name, case.study, case.label, case.description),
        )
        for index, case in enumerate(shelf.cases)
    ]
    _tiles(session, tiles)


def _opening(name: str, study: Study, label: str, description: str = "") -> Callable[[], OpenCase]:
    source: Source = "sample" if study.simulated else "pack"
    return lambda: OpenCase(new_id(), name, study, source, description, label)


def _await_samples(plugin_id: str) -> None:
    shelf = cache.sample_shelf(plugin_id)
    shelf.poll(cache.job_queue())
    if shelf.ready:
        st.rerun()
    st.caption("The samples are being drawn")
    st.skeleton(height=160)


def _real_cases(session: Session, plugin_id: str) -> None:
    found = cache.pack_cases(plugin_id)
    if found is None or not found.cases:
        return
    st.markdown("##### Real validation cases")
    pages = -(-len(found.cases) // PAGE)
    with st.container(key=f"real-{plugin_id}"):
        page = st.pagination(pages, key=f"real-page-{plugin_id}", max_visible_pages=0) if pages > 1 else 1
    start = ((page or 1) - 1) * PAGE
    tiles = [
        Tile(
            f"real-{plugin_id}-{index}",
            f"Case {index + 1}",
            f"Dermoscopy image, real validation case {index + 1}",
            case.thumbnail,
            case.study.sha256,
            _opening(f"Case {index + 1}, {case.name}", case.study, case.label),
        )
        for index, case in enumerate(found.cases[start : start + PAGE], start=start)
    ]
    _tiles(session, tiles)
    for problem in found.problems:
        st.caption(plain(problem, 300))


def _tiles(session: Session, tiles: Sequence[Tile]) -> None:
    shown = session.case.study.sha256 if session.case is not None else ""
    grid = st.grid(2, min_column_width=80, wrap=False, gap="xsmall")
    for tile in tiles:
        with grid.container(key=f"tile-{tile.key}", gap=None):
            # The format is named so that Streamlit does not encode it anew on every run.
            st.image(tile.thumbnail, width="stretch", output_format="JPEG", alt=tile.alt)
            chosen = _kind(tile.sha256 == shown)
            if st.button(plain(tile.name, 40), key=tile.key, type=chosen, width="stretch"):
                session.open(tile.open())
                st.rerun()
