"""The Streamlit side: registers the bundled assets, hands over data, takes events back.

The assets are registered from this folder as it stands, not from an installed copy: no line in
requirements.txt, no stale copy after an update. Streamlit 1.67 has no public call for that, so
this module alone uses two of its internals, and a browser test notices when they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest
from streamlit.components.v2.types import ComponentRenderer
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.components.viewer.encode import Asset, BoxedAsset
from dashboard.components.viewer.events import parse_event
from dashboard.components.viewer.model import ViewerEvent, ViewerImage, ViewerOptions, ViewerOutline, ViewerOverlay
from whycad.errors import GeometryError
from whycad.types import JsonObject

PACKAGE = "whycad_viewer"
NAME = f"{PACKAGE}.viewer"
FOLDER = Path(__file__).parent


def viewer(
    image: ViewerImage,
    overlays: Sequence[ViewerOverlay] = (),
    *,
    key: str,
    outlines: Sequence[ViewerOutline] = (),
    height: int | None = None,
    options: ViewerOptions | None = None,
) -> ViewerEvent:
    """Show an image with its maps and return the reader's marks.

    Parameters
    ----------
    image : ViewerImage
    overlays : sequence of ViewerOverlay
        In the order of the chips; ids must differ.
    key : str
        Streamlit's key of this viewer; one key keeps zoom and settings over reruns.
    outlines : sequence of ViewerOutline
    height : int, optional
        In CSS pixels; by default two thirds of the window's height.
    options : ViewerOptions, optional

    Returns
    -------
    ViewerEvent

    Raises
    ------
    GeometryError
        If a map, mask or strip does not have the image's shape, or two overlays share an id.
    """
    options = options or ViewerOptions()
    _check(image, overlays, outlines)
    _check_strip(image, options)
    data = {
        "image": _image_data(image, key),
        "overlays": [_overlay_data(overlay, image, key) for overlay in overlays],
        "outlines": [_outline_data(outline, image, key) for outline in outlines],
        "options": _options_data(options, height),
    }
    _register()
    result = _mount()(key=key, data=data, on_event_change=_ignore, on_overlay_change=_ignore)
    return parse_event(
        result.get("event"), version=image.key, shape=image.spatial_shape, overlay=result.get("overlay") or ""
    )


def _check(image: ViewerImage, overlays: Sequence[ViewerOverlay], outlines: Sequence[ViewerOutline]) -> None:
    for name, shape in [*((o.id, o.map.shape) for o in overlays), *((o.name, o.mask.shape) for o in outlines)]:
        if shape != image.spatial_shape:
            raise GeometryError(f"viewer: {name!r} has shape {shape}, but the image has {image.spatial_shape}")
    if len({o.id for o in overlays}) != len(overlays):
        raise GeometryError("viewer: two overlays share an id", remedy="give each overlay an id of its own")


def _check_strip(image: ViewerImage, options: ViewerOptions) -> None:
    if options.strip is not None and len(options.strip.values) != image.spatial_shape[0]:
        raise GeometryError(f"viewer: a strip of {len(options.strip.values)} slices, but the image has another number")


def _image_data(image: ViewerImage, key: str) -> JsonObject:
    low, high = image.range
    centre, width = image.window or ((low + high) / 2, high - low)
    data: JsonObject = {
        "version": image.key,
        "kind": "volume" if image.is_volume else "flat",
        "url": _serve(image.asset, f"{key}.image"),
        "encoding": image.asset.encoding,
        "shape": list(image.spatial_shape),
        "colour": image.is_colour,
        "spacing": list(image.spacing_mm) if image.spacing_mm else None,
        "alt": image.alt,
        "range": [low, high],
        "window": [centre - width / 2, centre + width / 2],
        "unit": image.unit,
    }
    if image.is_volume:
        data |= {"planes": [plane.to_json() for plane in image.planes], "linked": image.is_linked}
    return data


def _overlay_data(overlay: ViewerOverlay, image: ViewerImage, key: str) -> JsonObject:
    where = f"{key}.{overlay.id}"
    place = _boxed_data(overlay.volume_asset, where) if image.is_volume else {"url": _serve(overlay.asset, where)}
    return {
        **place,
        "id": overlay.id,
        "name": overlay.name,
        "signed": overlay.signed,
        "grade": overlay.grade,
        "description": overlay.description,
        "target": overlay.target,
    }


def _outline_data(outline: ViewerOutline, image: ViewerImage, key: str) -> JsonObject:
    if image.is_volume:
        return {"name": outline.name, **_boxed_data(outline.volume_asset, f"{key}.outline.{outline.name}")}
    return {"name": outline.name, "paths": outline.paths}


def _boxed_data(boxed: BoxedAsset, coordinates: str) -> JsonObject:
    return {"url": _serve(boxed.asset, coordinates), "box": {"start": list(boxed.start), "shape": list(boxed.shape)}}


def _options_data(options: ViewerOptions, height: int | None) -> JsonObject:
    return {
        "tools": list(options.tools),
        "tool": options.tool,
        "overlay": options.overlay,
        "simulated": options.simulated,
        "footer": options.footer,
        "report_overlay": options.report_overlay,
        "window_presets": [list(preset) for preset in options.window_presets],
        "mark": list(options.mark) if options.mark is not None else None,
        "slice": options.slice,
        "slice_action": options.slice_action,
        "strip": asdict(options.strip) if options.strip is not None else None,
        "link": options.link,
        "height": height,
    }


def _serve(asset: Asset, coordinates: str) -> str:
    """Put a file behind the session's media endpoint, as ``st.image`` does, and return its URL."""
    if get_script_run_ctx(suppress_warning=True) is None or not Runtime.exists():
        return ""
    return Runtime.instance().media_file_mgr.add(asset.content, asset.mimetype, f"whycad-viewer.{coordinates}")


def _register() -> None:
    """Make the asset folder known to the running server, once per server."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(NAME) is None:
        manifest = ComponentManifest(PACKAGE, "1.0.0", [ComponentConfig("viewer", "frontend")])
        manager.register_from_manifest(manifest, FOLDER)


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(NAME, js="index.js")


def _ignore(*_: Any) -> None:
    """Stand for a callback: Streamlit returns only the states that have one."""
