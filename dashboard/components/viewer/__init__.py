"""The one image viewer of the product: flat images and volumes, maps over them, the reader's marks.

Use::

    event = viewer(image, overlays, key="case", outlines=[outline], options=ViewerOptions(tool="point"))
    if event.seq > last_seen and event.click:
        row, column = event.click

Zoom, pan, window, opacity, threshold, colours, method and slices live in the browser and never rerun
the page; only marks do (and the choice of method where ``report_overlay`` is set). Files travel once,
over Streamlit's media endpoint under their hash; a rerun sends a few hundred bytes of JSON.

Everything is drawn on 2-D canvases, exact pixel by exact pixel. Volumes show the plane of their
slices large and the two others beside it, linked, in radiological convention. NiiVue, the first
choice for volumes, needs a graphics card: without one, as on a remote desktop, a step of the window
took 13 s on a 48 x 512 x 512 CT. Here it takes milliseconds. Source and build: ``source/README.md``.

Hooks for tests and styles (``data-testid``, inside an open shadow root):

===========================  ==========================================================================
``viewer``                   the whole component; ``viewer-frame`` the dark frame (``aria-busy`` while loading)
``viewer-stage``             takes focus, pointer and keys; ``data-zoom`` holds the zoom in percent, ``data-at``
                             the slice, row and column where the planes of a volume meet
``viewer-canvas``            the picture, ``role=img`` with the caller's text; ``viewer-marks`` lies on top
``viewer-methods``           group of chips; ``viewer-method-<id>`` one chip (``aria-pressed``)
``viewer-target``            "for: ..." of the chosen map
``viewer-tool-<tool>``       ``pan``, ``point``, ``box``, ``brush``; ``viewer-clear`` removes the marks
``viewer-zoom-in``           and ``viewer-zoom-out``, ``viewer-reset``, ``viewer-fullscreen``, ``viewer-help``
``viewer-save``              downloads ``whycad-overlay-<id>.png``
``viewer-map-toggle``        map on or off; ``viewer-opacity`` its slider; ``viewer-outline-toggle``
``viewer-legend``            "against ... for" or "less ... more"
``viewer-zoom``              "zoom 100 %"; ``viewer-readout`` place and value; ``viewer-scale-bar``
``viewer-display``           opens ``viewer-panel``: ``viewer-threshold``, ``viewer-colormap``,
                             ``viewer-window-level``, ``viewer-window-width``, ``viewer-brush-radius``
``viewer-window-<name>``     one of the page's windows, such as ``viewer-window-lung`` (``aria-pressed``)
``viewer-plane``             plane of the large picture of a volume; ``viewer-slice`` its slider
``viewer-linked``            three planes or one (``aria-pressed``)
``viewer-slice-action``      asks for what the page offers for the slice on show
``viewer-strip``             chart along a volume; ``viewer-strip-plot`` is clicked, ``viewer-strip-value`` says
                             what the slice under the pointer, or the one on show, has
``viewer-status``            polite live region; ``viewer-message`` loading or failure
===========================  ==========================================================================
"""

from dashboard.components.viewer.component import viewer
from dashboard.components.viewer.events import rasterise
from dashboard.components.viewer.model import (
    Stroke,
    ViewerEvent,
    ViewerImage,
    ViewerOptions,
    ViewerOutline,
    ViewerOverlay,
    ViewerStrip,
)

__all__ = [
    "Stroke",
    "ViewerEvent",
    "ViewerImage",
    "ViewerOptions",
    "ViewerOutline",
    "ViewerOverlay",
    "ViewerStrip",
    "rasterise",
    "viewer",
]
