"""The Tasks view: what can be done here, and what is known of each model."""

from __future__ import annotations

import streamlit as st

from dashboard import cache
from dashboard.components.rows import rows
from dashboard.model_cards import card_markdown
from dashboard.text import plain
from whycad.manifest import Manifest
from whycad.registry import PluginEntry


def page() -> None:
    """Draw the whole view."""
    st.markdown("## Tasks & model cards")
    entries = cache.registry().entries
    st.markdown(_table(entries))
    for entry in entries:
        if entry.manifest is not None:
            _card(entry, entry.manifest)


def _table(entries: tuple[PluginEntry, ...]) -> str:
    head = "| Task | Status | Evidence | Version | Labels | Licence |\n|:--|:--|:--|:--|:--|:--|"
    return "\n".join([head, *(_row(entry) for entry in entries)]) if entries else "No plugins were found."


def _row(entry: PluginEntry) -> str:
    manifest = entry.manifest
    if manifest is None:
        return f"| {plain(entry.id)} | :red[unavailable]: {plain(entry.error, 400)} | | | | |"
    status = ":green[ready]" if entry.error is None else f":red[unavailable]: {plain(entry.error, 400)}"
    status += "".join(f"; {plain(remark, 300)}" for remark in entry.remarks)
    labels = ", ".join(plain(label.name) for label in manifest.labels)
    evidence = f"{manifest.evidence_level.value} images"
    licence = plain(manifest.licence) or "not stated"
    return f"| **{plain(manifest.title)}** | {status} | {evidence} | {plain(manifest.version)} | {labels} | {licence} |"


def _card(entry: PluginEntry, manifest: Manifest) -> None:
    with st.container(border=True, key=f"task-{manifest.id}"):
        st.markdown(f"### {plain(manifest.title)}")
        st.markdown(plain(manifest.intended_use, 600))
        careful = [label.name for label in manifest.labels if label.must_not_miss]
        points = [f"{p.name}: sensitivity {100 * p.sensitivity:.0f} %" for p in manifest.operating_points]
        rows(
            [
                ("Reads", f"{', '.join(manifest.input.modalities)}; {'colour' if manifest.input.colour else 'grey'}"),
                ("Network input, pixels", " x ".join(str(side) for side in manifest.input.shape)),
                ("Must not be missed", ", ".join(careful) or "none"),
                ("Operating points", "; ".join(points) or "none"),
                ("Explanations", ", ".join(manifest.explain.methods)),
                ("Members", str(len(manifest.weights.files))),
            ],
            key=f"task-{manifest.id}",
        )
        card = card_markdown(entry.folder, manifest)
        if card:
            with st.expander("Model card", expanded=True):
                st.markdown(card)
        else:
            st.caption("There is no model card.")


page()
