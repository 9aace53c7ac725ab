"""The About view: what this is for, what it is not for, and what every method cannot do."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import streamlit as st

from dashboard import cache
from dashboard.components.rows import rows
from whycad import __version__

PACKAGES = ("streamlit", "torch", "captum", "lime", "scikit-image", "pydicom", "numpy")

FOR = """
- Looking at how a model reaches its answers, and how far they can be trusted.
- Teaching: calibration, uncertainty, explanation, and how each of them fails.
- Trying a new task: a plugin is a folder.
"""
NOT_FOR = """
- Diagnosing, ruling out disease, or deciding about a patient. It is no medical device.
- Images of another kind than the model's training images, even where it gives an answer.
- Proof that a model is safe, or that it looked at the right thing.
"""
METHODS = (
    ("Calibrated probability", "Right on average for images like those of the calibration set. Elsewhere the "
     "prevalence differs, and so does what a probability means."),
    ("90 % set", "Of the cases of each class, about 90 % have the true label in the set. It says nothing of a single "
     "case, and nothing of diseases the task does not know. It does not move with the prevalence."),
    ("Your prevalence", "Moves probabilities and decision to another share of disease, as if nothing else differed: "
     "the same spectrum, the same scanners. Where that does not hold, neither does the number."),
    ("Volumes read by slices", "One answer for the whole, that of the most suspicious slices. Calibration and sets "
     "were fitted on single slices."),
    ("A clicked finding", "The task looks at the place that was clicked and nowhere else: what was not clicked was not "
     "looked at."),
    ("Members' range", "Five networks that learned differently. They share the data and its faults: all can be wrong "
     "together."),
    ("Descriptors and outlines", "What the model expects radiologists to rate and to draw. Nobody rated or drew them."),
    ("Like the training images", "A distance in the network's own features. It sees gross differences, not subtle "
     "ones."),
    ("Grad-CAM", "Coarse: the last layers see in blocks. It shows what spoke for a label, never what spoke against."),
    ("Grad-CAM++", "As Grad-CAM, but each place has its own weight, so that several spots of one kind count alike."),
    ("Integrated gradients", "Depends on the baseline. Fine grain is not precision. The convergence error says how "
     "much of the output it accounts for."),
    ("GradientSHAP", "As integrated gradients, averaged over noisy baselines. The noise is a choice, not a population "
     "of healthy images."),
    ("SmoothGrad", "Where a small change would move the output most; not in which direction, and not what the output "
     "is made of."),
    ("Input x gradient", "The cheapest, and the noisiest: the slope at the image itself, blind to saturation."),
    ("Occlusion", "Hides patches and watches. A hidden patch is itself a strange image."),
    ("LIME", "A linear model of the neighbourhood of one image, made of superpixels. Another seed gives another map; "
     "the local fit says how well it imitates the model."),
    ("KernelSHAP", "Fair shares of the score among superpixels. They add up, but to the difference from a hidden "
     "image, which is a strange image."),
    ("RISE", "Watches through random soft masks. Blurred by the size of their cells; another seed gives another map."),
    ("Disagreement of the members", "How far the networks' own maps differ. Where they agree they may all be wrong."),
    ("A boundary, or one label rather than another", "What spoke for this rather than that. It says nothing of the "
     "labels that were not named."),
)  # fmt: skip
PRIVACY = """
- Files are decoded in a separate process with limits on memory and time, and known by their hash only.
- Names, ids, birth dates and free text of DICOM files are dropped before anything is shown. Text burnt into the pixels
  is not removed: look before you share a picture.
- Images and results live in your browser session on this machine. Closing the session ends them.
- Nothing is sent anywhere: no telemetry, no downloads while it runs.
"""
LICENCES = """
The code is under Apache-2.0. Weights carry the licence of their data, which each task states. The image viewer's
colour maps are those of ColorBrewer (Apache-2.0) and matplotlib (CC0); the notices are in the viewer's folder.
"""


def page() -> None:
    """Draw the whole view."""
    st.markdown("## About & limits")
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.markdown("### What it is for")
        st.markdown(FOR)
    with right.container(border=True, height="stretch"):
        st.markdown("### What it is not for")
        st.markdown(NOT_FOR)
    with st.container(border=True):
        st.markdown("### What each method can and cannot say")
        rows(METHODS, key="methods-wide")
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.markdown("### Privacy")
        st.markdown(PRIVACY)
    with right.container(border=True, height="stretch"):
        st.markdown("### Versions and licences")
        rows([*_versions(), *_weights()], key="versions")
        st.markdown(LICENCES)


def _versions() -> list[tuple[str, str]]:
    found = [("WhyCAD", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _weights() -> list[tuple[str, str]]:
    manifests = (entry.manifest for entry in cache.registry().entries)
    return [(f"Weights of {m.id}", m.licence or "not stated") for m in manifests if m is not None]


page()
