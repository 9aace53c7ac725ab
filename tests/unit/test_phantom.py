"""Phantom cases: deferred rendering, studies and PNG files."""

from __future__ import annotations

import copy
import hashlib
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from whycad.errors import ImageError
from whycad.phantom import DeferredCase, PhantomCase, colour_study, to_png
from whycad.types import Study


def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def make() -> PhantomCase:
    return PhantomCase(colour_study(picture()), np.zeros((20, 30), bool), "a", "rendered", "rendered")


def deferred(calls: list[int]) -> DeferredCase:
    def render() -> PhantomCase:
        calls.append(1)
        return make()

    return DeferredCase(render, label="b", name="Sample", description="What it shows.", artefacts=("hair",))


def test_a_colour_study_holds_the_bytes_it_was_made_of() -> None:
    image = picture()
    study = colour_study(image, spacing_mm=(0.1, 0.2), metadata={"site": "back"})
    assert np.array_equal(np.rint(study.pixels * 255), image)
    assert study.sha256 == hashlib.sha256(image.tobytes()).hexdigest()
    assert study.simulated
    assert study.is_colour
    assert study.spacing_mm == (0.1, 0.2)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)]
)
def test_a_colour_study_of_anything_else_is_refused(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(ImageError, match="uint8"):
        colour_study(image)


def test_a_deferred_case_renders_on_first_use_and_keeps_its_own_words() -> None:
    calls: list[int] = []
    case = deferred(calls)
    assert (case.label, case.name, case.description, case.artefacts) == ("b", "Sample", "What it shows.", ("hair",))
    assert "Sample" in repr(case)
    assert not calls
    assert case.mask.shape == (20, 30)
    assert case.study.simulated
    assert case.study is case.study
    assert len(calls) == 1


def test_a_deferred_case_has_no_other_attributes_and_is_frozen() -> None:
    case = deferred([])
    with pytest.raises(AttributeError):
        _ = case.weights
    with pytest.raises(AttributeError):
        case.name = "other"  # type: ignore[misc]


def test_a_deferred_case_can_be_copied_and_pickled() -> None:
    case = DeferredCase(make, label="b", name="Sample", description="d")
    for twin in (copy.copy(case), pickle.loads(pickle.dumps(case))):
        assert twin.name == "Sample"
        assert np.array_equal(twin.study.pixels, case.study.pixels)


def test_png_round_trip() -> None:
    with Image.open(io.BytesIO(to_png(make()))) as image:
        assert np.array_equal(np.asarray(image), picture())


def test_grey_pictures_become_grey_pngs_and_volumes_are_refused() -> None:
    grey = Study(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), "OT", "0" * 64)
    with Image.open(io.BytesIO(to_png(PhantomCase(grey, np.zeros((3, 4), bool), "a", "n", "d")))) as image:
        assert image.mode == "L"
    volume = Study(np.zeros((3, 4, 5), np.float32), "CT", "0" * 64, unit="HU")
    with pytest.raises(ImageError, match="DICOM"):
        to_png(PhantomCase(volume, np.zeros((3, 4, 5), bool), "a", "n", "d"))
