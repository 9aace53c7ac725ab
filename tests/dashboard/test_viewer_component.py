"""The viewer inside a page, without a browser."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.viewer import ViewerImage, ViewerOptions, ViewerOutline, ViewerOverlay, ViewerStrip, component
from whycad.errors import GeometryError


def page() -> None:
    import numpy as np
    import streamlit as st

    from dashboard.components.viewer import ViewerImage, ViewerOverlay, viewer

    image = ViewerImage(np.zeros((6, 8), np.uint8), "Nothing")
    overlays = [ViewerOverlay("gradcam", "Grad-CAM", np.ones((6, 8), np.float32))]
    event = viewer(image, overlays, key="v")
    st.text(f"{event.kind} {event.click}")


def test_a_page_with_a_viewer_runs_and_reruns() -> None:
    app = AppTest.from_function(page, default_timeout=30).run()
    assert not app.exception
    assert app.text[0].value == "none None"
    assert not app.run().exception


def test_maps_and_masks_must_fit_the_image() -> None:
    image = ViewerImage(np.zeros((6, 8), np.uint8), "Nothing")
    with pytest.raises(GeometryError, match="'cam' has shape"):
        component.viewer(image, [ViewerOverlay("cam", "C", np.ones((8, 6), np.float32))], key="v")
    with pytest.raises(GeometryError, match="'edge' has shape"):
        component.viewer(image, outlines=[ViewerOutline("edge", np.ones((8, 6), bool))], key="v")
    twice = [ViewerOverlay("cam", "C", np.ones((6, 8), np.float32))] * 2
    with pytest.raises(GeometryError, match="share an id"):
        component.viewer(image, twice, key="v")


def test_strips_must_fit_the_volume() -> None:
    image = ViewerImage(np.zeros((3, 6, 8), np.uint8), "Nothing")
    strip = ViewerStrip("p", "p", (0.1, None), (0.1, None), (0.1, None), ("report", "reject"))
    with pytest.raises(GeometryError, match="strip of 2 slices"):
        component.viewer(image, key="v", options=ViewerOptions(strip=strip))


def test_the_bundle_is_small_and_there_with_its_notices() -> None:
    folder = component.FOLDER / "frontend"
    assert (folder / "index.js").stat().st_size < 100_000
    assert "Cynthia Brewer" in (folder / "LICENSES.txt").read_text()
