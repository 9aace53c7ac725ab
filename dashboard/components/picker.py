"""Samples by task: simulated ones, and real validation cases where ``WHYCAD_DATA`` names packs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard import cache
from dashboard.cache import NO_CASES, SampleShelf
from dashboard.components.buttons import look
from dashboard.state import OpenCase, Session, new_id
from dashboard.text import plain
from whycad.phantom import PhantomCase
from whycad.registry import PluginEntry, Registry
from whycad.types import EvidenceLevel

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


def picker(session: Session, registry: Registry) -> None:
    """Show the samples of every task; those of a closed group are neither made nor sent."""
    entries = [entry for entry in registry.entries if _has_cases(entry)]
    if not entries:
        return
    st.markdown("##### Samples")
    first = first_group(entries, session)
    for entry in entries:
        group = st.expander(
            plain(entry.title, 60), expanded=entry.id == first, key=f"samples-{entry.id}", on_change="rerun"
        )
        with group:
            if group.open:
                _group(session, entry)


def _has_cases(entry: PluginEntry) -> bool:
    return entry.manifest is not None and (entry.manifest.code.phantom is not None or cache.settings().data is not None)


def first_group(entries: Sequence[PluginEntry], session: Session) -> str:
    """Return the task whose samples are open at first: that of the case on show, else the quickest to try.

    That is a task on real data that reads one image at a time and needs no click.
    """
    if session.case is not None and session.case.task:
        return session.case.task
    return min(entries, key=_effort).id


def _effort(entry: PluginEntry) -> tuple[bool, bool, bool]:
    manifest = entry.manifest
    assert manifest is not None, "groups have manifests"
    spec = manifest.input
    simulated = manifest.evidence_level is EvidenceLevel.SIMULATED
    return entry.error is not None, simulated, spec.needs_region or spec.per_slice


def _group(session: Session, entry: PluginEntry) -> None:
    manifest = entry.manifest
    assert manifest is not None, "groups have manifests"
    if manifest.code.phantom is not None:
        _shelf(session, cache.sample_shelf(entry.id), "sample")
    real = cache.pack_shelf(entry.id)
    if real is not None:
        _shelf(session, real, "real")


def _shelf(session: Session, shelf: SampleShelf, kind: str) -> None:
    shelf.poll(cache.job_queue())
    if not shelf.ready:
        st.fragment(_await, run_every=POLL_S)(shelf)
        return
    if shelf.failed:
        if shelf.failed != NO_CASES or kind == "sample":
            st.caption(f"No {'samples' if kind == 'sample' else 'real cases'}: {plain(shelf.failed, 300)}")
        return
    if kind == "sample":
        st.caption("Simulated")
        numbers = range(len(shelf.cases))
    else:
        st.caption("Real validation cases")
        numbers = _page(shelf)
    _tiles(session, [_tile(shelf, kind, number) for number in numbers])


def _await(shelf: SampleShelf) -> None:
    shelf.poll(cache.job_queue())
    if shelf.ready:
        st.rerun()
    st.caption("The real cases are being chosen" if shelf.data is not None else "The samples are being drawn")
    st.skeleton(height=160)


def _page(shelf: SampleShelf) -> range:
    pages = -(-len(shelf.cases) // PAGE)
    with st.container(key=f"real-{shelf.plugin_id}"):
        page = st.pagination(pages, key=f"real-page-{shelf.plugin_id}", max_visible_pages=0) if pages > 1 else 1
    start = ((page or 1) - 1) * PAGE
    return range(start, min(start + PAGE, len(shelf.cases)))


def _tile(shelf: SampleShelf, kind: str, number: int) -> Tile:
    case = shelf.cases[number]
    simulated = kind == "sample"
    name = case.name if simulated else f"Case {number + 1}"
    return Tile(
        f"{kind}-{shelf.plugin_id}-{number}",
        name,
        f"Simulated: {case.description}" if simulated else f"Real validation case {number + 1}",
        shelf.thumbnails[number],
        case.study.sha256,
        _opening(name if simulated else f"{name}, {case.name}", case, shelf.plugin_id),
    )


def _opening(title: str, case: PhantomCase, plugin_id: str) -> Callable[[], OpenCase]:
    return lambda: OpenCase(
        new_id(),
        title,
        case.study,
        "sample" if case.study.simulated else "pack",
        case.description,
        case.label,
        task=plugin_id,
        region=case.region,
    )


def _tiles(session: Session, tiles: Sequence[Tile]) -> None:
    shown = session.case.study.sha256 if session.case is not None else ""
    grid = st.grid(2, min_column_width=80, wrap=False, gap="xsmall")
    for tile in tiles:
        with grid.container(key=f"tile-{tile.key}", gap=None):
            # The format is named so that Streamlit does not encode it anew on every run.
            st.image(tile.thumbnail, width="stretch", output_format="JPEG", alt=tile.alt)
            if st.button(plain(tile.name, 40), key=tile.key, type=look(tile.sha256 == shown), width="stretch"):
                session.open(tile.open())
                st.rerun()
