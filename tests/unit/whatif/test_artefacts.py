"""Padding and burned-in text in grey images, and what a plugin's own detectors may return."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from whycad.errors import PluginError
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.whatif.artefacts import artefact_words, burned_in_text, find_artefacts, padding

FINDER = """
import numpy as np
from whycad.whatif.artefacts import FoundArtefact


def artefacts(study):
    mask = np.zeros(study.spatial_shape, bool)
    mask[2:5, 2:5] = True
    return {returned}
"""


def tissue(seed: int = 0, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, 6)
    return np.clip(0.4 + 0.15 * smooth / smooth.std() + 0.04 * noise, 0.02, 0.92).astype(np.float32)


def written(text: str, seed: int = 0, size: int = 14) -> np.ndarray:
    picture = Image.fromarray((255 * tissue(seed)).astype(np.uint8))
    ImageDraw.Draw(picture).text((12, 16), text, fill=255, font=ImageFont.load_default(size))
    return np.asarray(picture, np.float32) / 255


@pytest.mark.parametrize("size", [12, 16, 20])
def test_burned_in_text_is_found_where_it_is(size: int) -> None:
    clean = np.asarray(Image.fromarray((255 * tissue()).astype(np.uint8)), np.float32) / 255
    image = written("HOSPITAL 12 MHZ DEPTH 40", size=size)
    (found,) = burned_in_text(image)
    letters = image - clean > 0.3
    assert found.mask[letters].mean() > 0.8
    assert not found.mask[16 + 2 * size :].any()


@pytest.mark.parametrize("seed", range(6))
def test_tissue_holds_no_text(seed: int) -> None:
    assert burned_in_text(tissue(seed)) == []


def test_a_single_letter_is_no_text() -> None:
    assert burned_in_text(written("R", size=18)) == []


def test_padding_is_found_on_the_sides_where_it_is() -> None:
    image = tissue()
    image[:20], image[:, -9:] = 0, 0
    (found,) = padding(image)
    expected = np.zeros(image.shape, bool)
    expected[:20], expected[:, -9:] = True, True
    np.testing.assert_array_equal(found.mask, expected)


def test_a_thin_line_or_an_empty_image_is_no_padding() -> None:
    image = tissue()
    image[:3] = 0
    assert padding(image) == []
    assert padding(np.zeros((40, 40), np.float32)) == []


def plugin_returning(folder: Path, returned: str) -> object:
    spec = TinyPlugin(
        files={"finder.py": FINDER.replace("{returned}", returned)}, code='artefacts = "finder:artefacts"\n'
    )
    return write_plugin(folder, spec)


def test_a_plugins_own_detectors_are_asked(tmp_path: Path) -> None:
    plugin = plugin_returning(
        tmp_path, '(FoundArtefact("sticker", mask, 0.7), FoundArtefact("ink", mask & False, 0.9))'
    )
    (found,) = find_artefacts(make_study(), plugin)  # type: ignore[arg-type]
    assert (found.name, found.confidence, int(found.mask.sum())) == ("sticker", 0.7, 9)
    assert artefact_words("sticker") == "the sticker"
    volume = replace(make_study(), pixels=np.zeros((4, 20, 20), np.float32), unit="normalised")
    assert find_artefacts(volume, plugin) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "returned",
    ['("ink",)', '(FoundArtefact("In k", mask, 0.5),)', '(FoundArtefact("ink", mask[1:], 0.5),)',
     '(FoundArtefact("ink", mask * 1.0, 0.5),)', '(FoundArtefact("ink", mask, 1.5),)',
     'tuple(FoundArtefact("ink", mask, 0.5) for _ in range(99))', "None", "1 / 0"],
)  # fmt: skip
def test_what_cannot_be_shown_is_an_error_that_names_the_plugin(tmp_path: Path, returned: str) -> None:
    with pytest.raises(PluginError, match="tiny"):
        find_artefacts(make_study(), plugin_returning(tmp_path, returned))  # type: ignore[arg-type]
