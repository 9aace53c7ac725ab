"""A page with one viewer, for the browser tests: ``?what=`` chooses the picture."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import streamlit as st

from dashboard.components.viewer import (
    ViewerImage,
    ViewerOptions,
    ViewerOutline,
    ViewerOverlay,
    ViewerStrip,
    rasterise,
    viewer,
)

HEIGHT, WIDTH = 450, 600


def phantom() -> np.ndarray:
    """Skin-coloured, brighter downwards and redder to the right, one dark blob up left, one red mark up right."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([190 + columns / 20, 140 + rows / 15, 115 + 0 * rows], axis=-1)
    image += np.random.default_rng(0).normal(0, 6, image.shape)
    image[blob()] *= 0.45
    image[40:60, 500:540] = (255, 0, 0)
    return np.clip(image, 0, 255).astype(np.uint8)


def blob() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    angle = np.arctan2(rows - 200, columns - 260)
    mask: np.ndarray = np.hypot(rows - 200, columns - 260) < 105 + 18 * np.sin(5 * angle)
    return mask


def bump(row: float, column: float, width: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)).astype(np.float32)


@st.cache_resource
def photo() -> tuple[ViewerImage, list[ViewerOverlay], list[ViewerOutline]]:
    signed = bump(180, 240, 45) - 0.7 * bump(290, 400, 35)
    stripes = np.kron(np.sign(np.random.default_rng(1).normal(size=(9, 12))), np.ones((50, 50))).astype(np.float32)
    overlays = [
        ViewerOverlay(
            "gradcam", "Grad-CAM", bump(190, 270, 60), False, "A", "Where the last layer looked.", "Melanoma"
        ),
        ViewerOverlay("lime", "LIME", signed, True, "A", "A linear model over patches.", "Melanoma"),
        ViewerOverlay("ig", "Integrated gradients", stripes * bump(200, 260, 80), True, "B", "", "Melanoma"),
        ViewerOverlay("occlusion", "Occlusion", bump(220, 300, 50), False, "fails", "", "Melanoma"),
    ]
    image = ViewerImage(phantom(), "Simulated lesion, dark, left of the middle", "photo-1", spacing_mm=(0.03, 0.03))
    return image, overlays, [ViewerOutline("lesion", blob())]


@st.cache_resource
def small() -> tuple[ViewerImage, list[ViewerOverlay], list[ViewerOutline]]:
    pixels = (np.arange(35, dtype=np.uint8).reshape(5, 7) * 7) % 251
    return ViewerImage(pixels, "Numbered pixels"), [], []


@st.cache_resource
def grey() -> tuple[ViewerImage, list[ViewerOverlay], list[ViewerOutline]]:
    pixels = np.linspace(-1000, 1000, 100 * 80, dtype=np.float32).reshape(100, 80)
    return ViewerImage(pixels, "A ramp in HU", unit="HU", window=(0.0, 2000.0)), [], []


@st.cache_resource
def volume() -> tuple[ViewerImage, list[ViewerOverlay], list[ViewerOutline]]:
    """Body of 0 HU in air, one bright block off centre on every axis: slices 4..8, rows 10..19, columns 36..43."""
    pixels = np.full((20, 48, 64), -1000, np.float32)
    pixels[:, 6:42, 8:56] = 0
    pixels[4:9, 10:20, 36:44] = 900
    where = np.zeros_like(pixels)
    where[4:9, 10:20, 36:44] = 1
    where[12:16, 28:36, 14:24] = -0.8
    image = ViewerImage(pixels, "Simulated chest volume", spacing_mm=(2.5, 1.0, 1.0), window=(0.0, 2000.0), unit="HU")
    return image, [ViewerOverlay("gradcam", "Grad-CAM", where, True, "B", "", "Nodule")], []


@st.cache_resource
def scans() -> tuple[ViewerImage, list[ViewerOverlay], list[ViewerOutline]]:
    """Eight B-scans with a band, and an outline in the sixth."""
    pixels = np.zeros((8, 40, 60), np.uint8)
    pixels[:, 15:25] = 120
    mask = np.zeros(pixels.shape, bool)
    mask[5, 17:22, 20:30] = True
    return ViewerImage(pixels, "Simulated scans", scans=True), [], [ViewerOutline("fluid", mask)]


STRIP = ViewerStrip(
    "Probability of fluid",
    "Probability of fluid along 8 scans, highest 70 %",
    (0.1, None, 0.3, 0.4, 0.5, 0.6, 0.7, 0.1),
    (0.0, None, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0),
    (0.2, None, 0.4, 0.5, 0.6, 0.7, 0.8, 0.2),
    ("report", "reject", "report", "refer", "refer", "refer", "refer", "report"),
)
SCANS = ViewerOptions(
    slice=3, strip=STRIP, slice_action="Explain this scan", window_presets=(("Full", 128, 255), ("Bright", 60, 120))
)

st.set_page_config(layout="wide")
st.session_state.runs = st.session_state.get("runs", 0) + 1
what = st.query_params.get("what", "photo")
image, overlays, outlines = {"photo": photo, "small": small, "grey": grey, "volume": volume, "scans": scans}[what]()
options = ViewerOptions(simulated=True, footer="skin_lesion 1.0.0", window_presets=(("Lung", -600, 1500),))
share = float(st.query_params.get("share", "1"))
options = SCANS if what == "scans" else options
place = st.columns([share, 1 - share])[0] if share < 1 else st.container()
with place:
    event = viewer(image, overlays, key="viewer", outlines=outlines, options=options)
st.button("Rerun")
st.code(json.dumps(asdict(event)), language=None)
if event.brush and not image.is_volume:
    st.text(f"painted {int(rasterise(event.brush, (image.pixels.shape[0], image.pixels.shape[1])).sum())} pixels")
st.text(f"runs {st.session_state.runs}")
