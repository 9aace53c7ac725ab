from __future__ import annotations

import numpy as np
import pytest

from dashboard.components.viewer import ViewerImage, ViewerOverlay
from whycad.errors import GeometryError
from whycad.types import Attribution, Fidelity, Study


def study(pixels: np.ndarray, **facts: object) -> Study:
    return Study(pixels.astype(np.float32), "OT", "ab" * 32, **facts)  # type: ignore[arg-type]


def test_a_colour_study_becomes_eight_bits() -> None:
    image = ViewerImage.from_study(study(np.full((4, 5, 3), 0.5), unit="rgb", spacing_mm=(0.1, 0.1)), "A lesion")
    assert image.pixels.dtype == np.uint8
    assert image.pixels[0, 0, 0] == 128
    assert (image.is_colour, image.spatial_shape, image.key) == (True, (4, 5), "ab" * 32)


def test_hounsfield_units_keep_their_window() -> None:
    volume = ViewerImage.from_study(study(np.zeros((3, 4, 5)), unit="HU", window=(40.0, 400.0)), "A chest")
    assert volume.is_volume
    assert (volume.window, volume.unit) == ((40.0, 400.0), "HU")


def test_the_key_follows_the_pixels() -> None:
    first, same, other = (ViewerImage(np.full((4, 4), v, np.uint8), "grey") for v in (1, 1, 2))
    assert first.key == same.key != other.key


@pytest.mark.parametrize(
    ("pixels", "spacing"),
    [
        (np.zeros((4, 5), np.float64), None),
        (np.zeros((4,), np.uint8), None),
        (np.zeros((0, 5), np.uint8), None),
        (np.zeros((4, 5), np.uint8), (1.0, 1.0, 1.0)),
        (np.zeros((4, 5), np.uint8), (1.0, 0.0)),
        (np.zeros((4, 5), np.uint8), (1.0, float("nan"))),
    ],
)
def test_what_cannot_be_shown_is_refused(pixels: np.ndarray, spacing: tuple[float, ...] | None) -> None:
    with pytest.raises(GeometryError, match="viewer"):
        ViewerImage(pixels, "x", spacing_mm=spacing)


def test_an_attribution_becomes_an_overlay() -> None:
    fidelity = Fidelity(grade="B", remarks=("Unstable.", "Few samples."))
    attribution = Attribution("lime", "mel", np.zeros((4, 5), np.float32), True, fidelity=fidelity)
    overlay = ViewerOverlay.from_attribution(attribution, name="LIME", target="Melanoma")
    assert (overlay.id, overlay.grade, overlay.signed, overlay.target) == ("lime", "B", True, "Melanoma")
    assert overlay.description == "Unstable. Few samples."


def test_ids_cannot_carry_markup() -> None:
    with pytest.raises(GeometryError, match="may hold letters"):
        ViewerOverlay("<b>", "x", np.zeros((2, 2), np.float32))


def test_encodings_are_made_once() -> None:
    overlay = ViewerOverlay("a", "A", np.ones((3, 4, 5), np.float32))
    assert overlay.volume_asset is overlay.volume_asset


def test_chests_are_linked_planes_and_scans_are_not() -> None:
    chest = ViewerImage.from_study(study(np.zeros((6, 8, 9)), unit="HU"), "A chest")
    assert chest.is_linked
    assert chest.planes[0].id == "axial"
    assert not ViewerImage.from_study(study(np.zeros((2, 8, 9)), unit="HU"), "A slab").is_linked
    scans = ViewerImage.from_study(Study(np.zeros((6, 8, 9), np.float32), "OPT", "ab" * 32), "An eye")
    assert not scans.is_linked
    assert scans.planes[0].name == "B-scan"
