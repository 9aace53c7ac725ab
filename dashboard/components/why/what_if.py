"""What if: a part taken away, artefacts removed, the smallest change, and how fragile the answer is."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dashboard import what_if_work
from dashboard.state import Changes, OpenCase
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.rendering import base_picture, outlined, png
from whycad.types import Segmentation, Study
from whycad.whatif.request import WhatIfKind, WhatIfRequest
from whycad.whatif.result import WhatIf

POLL_S = 0.5
SIDE = 300
EVERY = {
    WhatIfKind.ARTEFACT: ("Look for artefacts", "Ruler, ink, hair, dark corners, text and the like, each taken away"),
    WhatIfKind.COUNTERFACTUAL: ("Smallest change", "The smallest smooth change that moves the answer"),
    WhatIfKind.FRAGILITY: ("Fragility", "The smallest noise, chosen against the model, that flips the label"),
}
NOTE = (
    "A changed image was never taken of a patient. Where the gate refuses it, the answer to it says little. "
    "The sham is the control: a part of the same shape elsewhere, changed in the same way."
)


def what_if_card(case: OpenCase, manifest: Manifest) -> None:
    """Show the buttons, what runs, and what came of it."""
    work = case.work_for(manifest.id)
    changes = work.changes
    with st.container(border=True, key="what-if", gap="small"):
        st.markdown("**What if**")
        st.caption("Mark a part of the picture with Box or Brush to take it away, or let the model be tried.")
        _buttons(case, manifest, changes)
        if changes.message:
            st.info(changes.message, icon=":material/info:")
        if changes.busy:
            st.fragment(_tick, run_every=POLL_S)(changes)
        for number, change in enumerate(changes.found):
            _one(number, change, case, manifest)
        if changes.found:
            st.caption(NOTE)


def _buttons(case: OpenCase, manifest: Manifest, changes: Changes) -> None:
    marked = case.work_for(manifest.id).marked
    with st.container(horizontal=True, key="what-if-buttons"):
        if st.button(
            "Take away the marked part",
            key="what-if-region",
            disabled=marked is None or changes.busy,
            icon=":material/healing:",
            help="Fills the part from what is around it and asks the model again",
        ):
            assert marked is not None, "the button is off without a mark"
            what_if_work.ask(case, manifest.id, marked)
            st.rerun()
        for kind, (name, help_) in EVERY.items():
            if st.button(name, key=f"what-if-{kind.value}", help=help_, disabled=changes.busy):
                what_if_work.ask(case, manifest.id, WhatIfRequest(kind))
                st.rerun()


def _tick(changes: Changes) -> None:
    if what_if_work.poll(changes) or not changes.busy:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="what-if-job", wrap=False):
        progress = changes.progress
        said = "Waiting" if progress is None or progress.stage == "queued" else progress.message
        st.progress(0.0 if progress is None else progress.fraction, text=plain(said))
        st.button("Cancel", key="cancel-what-if", icon=":material/close:", on_click=what_if_work.stop, args=(changes,))


def _one(number: int, change: WhatIf, case: OpenCase, manifest: Manifest) -> None:
    with st.container(border=True, key=f"change-{number}", gap="xsmall"):
        st.markdown(f"**{plain(change.title, 300)}**")
        before, after, words = st.columns([1, 1, 1.5], gap="small")
        first, second = _pictures(change, case)
        before.image(first, caption="Before, outlined", output_format="PNG", alt="The image with what was changed")
        after.image(second, caption="After", output_format="PNG", alt="The image as it was changed")
        with words.container(gap=None):
            st.markdown("\n".join(f"- {plain(line, 300)}" for line in change_lines(change, manifest)))
            for remark in change.remarks:
                st.caption(plain(remark, 400))


def change_lines(change: WhatIf, manifest: Manifest) -> list[str]:
    """Say in words what the model says before and after, what the control does, and what the gate says."""
    label = change.before.predicted
    name = manifest.label(label).name
    now, then = change.before.probability(label), change.after.probability(label)
    lines = [f"{name}: {wording.percent(now)} before, {wording.percent(then)} after"]
    if change.sham is not None:
        lines.append(change.sham_sentence(name))
    if change.label_moved:
        lines.append(f"The answer becomes {manifest.label(change.after.predicted).name}")
    elif change.set_moved:
        lines.append(f"The set becomes {wording.names(change.after.conformal_set, manifest)}")
    else:
        lines.append("Answer and set stay as they are")
    refused = "; ".join(change.reasons) or "too strange"
    lines.append("The gate accepts the changed image" if change.accepted else f"The gate refuses it: {refused}")
    return lines


def _pictures(change: WhatIf, case: OpenCase) -> tuple[bytes, bytes]:
    """Return before, with what was changed outlined, and after; drawn once."""
    kept = case.pictures.get(id(change))
    if kept is None:
        kept = case.pictures[id(change)] = drawn(change, case.study)
    return kept


def drawn(change: WhatIf, study: Study) -> tuple[bytes, bytes]:
    """Draw before and after as PNG files."""
    flat = change.picture.ndim == 2 and study.pixels.ndim == 3
    changed = replace(study, pixels=change.picture, spacing_mm=None) if flat else replace(study, pixels=change.picture)
    part = Segmentation("changed", change.mask, "")
    thick = max(1, max(study.spatial_shape[-2:]) // SIDE)
    before = outlined(study, (part,), index=change.shown, thickness=2 * thick)
    return png(before, max_side=SIDE), png(base_picture(changed), max_side=SIDE)
