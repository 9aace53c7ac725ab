"""The viewer inside a page, without a browser."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.viewer import ViewerImage, ViewerOutline, ViewerOverlay, component
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


def test_the_bundle_is_there_with_its_licences() -> None:
    folder = component.FOLDER / "frontend"
    assert (folder / "index.js").stat().st_size < 100_000
    assert len(list(folder.glob("volume-*.js"))) == 1
    licences = (folder / "LICENSES.txt").read_text()
    for line in ("@niivue/niivue 0.69.0 (BSD-2-Clause)", "Copyright (c) 2021, Niivue", "gl-matrix", "fflate"):
        assert line in licences
