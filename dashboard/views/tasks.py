"""The Tasks view: what can be done here, and what is known of each model."""

from __future__ import annotations

import streamlit as st

from dashboard import cache
from dashboard.components.rows import rows
from dashboard.model_cards import card_markdown
from dashboard.text import plain
from whycad.manifest import Manifest
from whycad.registry import PluginEntry
from whycad.types import EvidenceLevel, TaskKind
from whycad.uncertainty.calibration_parts import HeldOutRisk
from whycad.wording import method_name

KINDS = {
    TaskKind.BINARY: "one of two labels",
    TaskKind.MULTICLASS: "one of several labels",
    TaskKind.MULTILABEL: "each label on its own",
    TaskKind.ORDINAL: "a stage, and whether it is at least this or that one",
}
POLICY_WORDS = (("report", "reported"), ("refer", "referred"), ("reject", "declined"))


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
    simulated = manifest.evidence_level is EvidenceLevel.SIMULATED
    evidence = ":orange-badge[simulated data]" if simulated else "real images"
    licence = plain(manifest.licence) or "not stated"
    return f"| **{plain(manifest.title)}** | {status} | {evidence} | {plain(manifest.version)} | {labels} | {licence} |"


def _card(entry: PluginEntry, manifest: Manifest) -> None:
    with st.container(border=True, key=f"task-{manifest.id}"):
        simulated = manifest.evidence_level is EvidenceLevel.SIMULATED
        st.markdown(f"### {plain(manifest.title)}" + ("  :orange-badge[simulated data]" if simulated else ""))
        st.markdown(plain(manifest.intended_use, 600))
        careful = [label.name for label in manifest.labels if label.must_not_miss]
        named = [(manifest.point_name(point.name), point.sensitivity) for point in manifest.operating_points]
        points = [f"{name}: sensitivity {100 * sensitivity:.0f} %" for name, sensitivity in named]
        rows(
            [
                ("Reads", reads_words(manifest)),
                ("Answers", KINDS[manifest.kind]),
                ("Network input, pixels", " x ".join(str(side) for side in manifest.input.shape)),
                ("Must not be missed", ", ".join(careful) or "none"),
                ("Operating points", "; ".join(points) or "none"),
                ("Explanations", ", ".join(map(method_name, manifest.explain.methods))),
                ("Members", str(len(manifest.weights.files)) if manifest.weights.files else "not trained yet"),
                *_calibrated(entry),
            ],
            key=f"task-{manifest.id}",
        )
        card = card_markdown(entry.folder, manifest)
        if card:
            with st.expander("Model card"):
                st.markdown(card)
        else:
            st.caption("There is no model card.")


def reads_words(manifest: Manifest) -> str:
    """Say which images a task reads, and what it needs to be told."""
    spec = manifest.input
    parts = [", ".join(spec.modalities), "colour" if spec.colour else "grey"]
    if spec.per_slice:
        parts.append("single images, or volumes slice by slice")
    elif len(spec.shape) == 3:
        parts.append("volumes, or one slice")
    if spec.needs_region:
        parts.append(f"the reader clicks the {spec.region_name}")
    return "; ".join(parts)


def _calibrated(entry: PluginEntry) -> list[tuple[str, str]]:
    found = cache.calibration(entry.folder)
    if found is None:
        return [("Calibrated on", "not yet")]
    source = f"{found.source.dataset}, {found.source.n:,} images of {found.source.n_groups:,} groups"
    if found.held_out is None:
        return [("Calibrated on", source)]
    return [("Calibrated on", source), ("Policy on held-out calibration cases", policy_words(found.held_out))]


def policy_words(risk: HeldOutRisk) -> str:
    """Say what a task's policy does with cases like those that it was calibrated on."""
    shares = ", ".join(f"{word} {100 * risk.shares.get(kind, 0.0):.0f} %" for kind, word in POLICY_WORDS)
    wrong = "" if risk.error_reported is None else f"; wrong among the reported {100 * risk.error_reported:.1f} %"
    return f"{shares}{wrong}"


page()
