"""What a reader sees before there is an answer."""

from __future__ import annotations

import streamlit as st

from dashboard.text import plain
from whycad.manifest import Manifest

STEPS = (
    (
        "verified",
        "The answer",
        "A calibrated probability for every diagnosis, the set that holds the true one nine times in ten, and a plain "
        "word where a specialist should look.",
    ),
    (
        "gradient",
        "Why",
        "What the model looked at, by several methods, over the original image, and what it measured. Each map says "
        "how far it can be trusted.",
    ),
    (
        "rule",
        "How far to trust it",
        "Whether the members agree, whether the image is like the training images, and how often such cases are found.",
    ),
)


def welcome() -> None:
    """Say how to open a case and what will be shown."""
    st.markdown("## Open a case")
    st.markdown(
        "Drop an image, the slices of a CT series, an OCT volume or a ZIP of them into the panel on the left, "
        "or pick a sample there."
    )
    for column, (icon, title, text) in zip(st.columns(3, gap="small"), STEPS, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"#### :material/{icon}: {title}\n\n{text}")


def before_click(manifest: Manifest) -> None:
    """Say that the task waits for a click."""
    with st.container(border=True, key="card-waiting", gap="xsmall"):
        st.caption(plain(manifest.title))
        st.markdown("## No answer yet")
        st.markdown(
            f"The task looks at one {manifest.input.region_name}, the one you click. Nothing has been analysed."
        )
