"""Skin phantoms: the same seed gives the same case, and the options do what they say."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import perimeter

from plugins.skin_lesion import artefacts
from plugins.skin_lesion.phantom import SAMPLES, PhantomOptions, Rendering, make_case, render, sample_cases
from plugins.skin_lesion.phantom_options import HABITS, LABELS
from plugins.skin_lesion.phantom_skin import SKIN_TONES
from whycad.errors import DatasetError

SMALL = (150, 200)
Mask = NDArray[np.bool_]


@cache
def small(seed: int, options: PhantomOptions) -> Rendering:
    return render(seed, replace(options, size=SMALL))


def darkened(image: NDArray[np.uint8]) -> Mask:
    """Largest part that is darker in the green channel, where pigment and blood both absorb."""
    green = ndimage.gaussian_filter(image[..., 1].astype(float), 4 * image.shape[1] / 600)
    parts, _ = ndimage.label(green < threshold_otsu(green))
    return np.asarray(ndimage.binary_fill_holes(parts == np.bincount(parts.ravel())[1:].argmax() + 1), bool)


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def compactness(mask: Mask) -> float:
    return float(perimeter(mask) ** 2 / (4 * np.pi * mask.sum()))


def lopsidedness(mask: Mask) -> float:
    """1 less the overlap of the lesion with itself turned by 180 degrees about its centroid."""
    rows, columns = np.nonzero(mask)
    turned = np.zeros_like(mask)
    r, c = np.rint(2 * rows.mean() - rows).astype(int), np.rint(2 * columns.mean() - columns).astype(int)
    inside = (r >= 0) & (r < mask.shape[0]) & (c >= 0) & (c < mask.shape[1])
    turned[r[inside], c[inside]] = True
    return 1 - overlap(mask, turned)


def lesion_spread(rendering: Rendering) -> float:
    """Standard deviation of the smoothed green channel within the lesion."""
    green = ndimage.gaussian_filter(rendering.image[..., 1].astype(float), 2)
    return float(green[rendering.mask].std())


def test_labels_and_artefacts_are_those_of_the_manifest(repo: Path) -> None:
    manifest = tomllib.loads((repo / "plugins/skin_lesion/plugin.toml").read_text())
    assert sorted(LABELS) == sorted(label["code"] for label in manifest["labels"])
    assert set(artefacts.KINDS) == set(manifest["audit"]["artefacts"])


@given(st.integers(0, 2**32 - 1), st.sampled_from(LABELS))
@settings(max_examples=14, deadline=None)
def test_any_seed_gives_a_valid_case(seed: int, label: str) -> None:
    case = make_case(seed, PhantomOptions(label, size=(96, 128)))
    pixels = case.study.pixels
    assert pixels.shape == (96, 128, 3)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert np.array_equal(pixels, (np.rint(pixels * 255) / 255).astype(np.float32)), "not in 8-bit steps"
    assert case.mask.shape == (96, 128)
    assert case.mask.dtype == bool
    assert 0.01 < case.mask.mean() < 0.6
    assert ndimage.label(case.mask)[1] == 1, "the lesion falls apart"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    options = PhantomOptions("mel", ("hair", "ruler"), size=SMALL)
    first, again, other = (make_case(seed, options) for seed in (5, 5, 6))
    assert np.array_equal(first.study.pixels, again.study.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert first.study.sha256 == again.study.sha256
    assert first.study.sha256 != other.study.sha256
    assert not np.array_equal(first.mask, other.mask)


def test_cases_are_marked_simulated_with_a_scale() -> None:
    case = make_case(1, PhantomOptions("nv", size=SMALL, site="back"))
    assert case.study.simulated
    assert case.study.is_colour
    assert case.study.modality == "XC"
    assert case.study.spacing_mm == pytest.approx((0.1, 0.1))
    assert dict(case.study.metadata) == {"site": "back"}
    assert not case.study.subject_key


@pytest.mark.parametrize("label", LABELS)
def test_the_mask_is_where_the_image_is_darkened(label: str) -> None:
    found = [small(seed, PhantomOptions(label)) for seed in range(4)]
    overlaps = [overlap(darkened(case.image), case.mask) for case in found]
    assert min(overlaps) > 0.6, overlaps
    shifted = [overlap(darkened(case.image), np.roll(case.mask, 60, axis=1)) for case in found]
    assert max(shifted) < 0.6, "the measure does not bite"


@pytest.mark.parametrize("label", ["nv", "akiec"])
def test_irregularity_raises_perimeter_squared_over_area(label: str) -> None:
    values = [
        np.mean([compactness(small(s, PhantomOptions(label, irregularity=x, asymmetry=0.0)).mask) for s in range(4)])
        for x in (0.0, 0.5, 1.0)
    ]
    assert values[0] < values[1] < values[2]
    assert values[2] > 1.4 * values[0]


def test_asymmetry_makes_the_outline_lopsided() -> None:
    values = [
        np.mean([lopsidedness(small(s, PhantomOptions("nv", asymmetry=x, irregularity=0.0)).mask) for s in range(4)])
        for x in (0.0, 0.5, 1.0)
    ]
    assert values[0] < 0.05
    assert values[0] < values[1] < values[2]


def test_variegation_spreads_the_colours() -> None:
    even, uneven = (
        np.mean([lesion_spread(small(s, PhantomOptions("mel", variegation=x, network=0.0))) for s in range(4)])
        for x in (0.0, 1.0)
    )
    assert uneven > 1.2 * even


def test_network_adds_fine_structure() -> None:
    def fine(network: float) -> float:
        rendering = render(21, PhantomOptions("nv", pattern="reticular", network=network))
        green = rendering.image[..., 1].astype(float)
        detail = ndimage.gaussian_filter(green, 1) - ndimage.gaussian_filter(green, 6)
        return float(detail[ndimage.binary_erosion(rendering.mask, iterations=25)].std())

    assert fine(1.0) > 1.3 * fine(0.0)


@pytest.mark.parametrize("area", [0.05, 0.2, 0.4])
def test_area_is_the_share_of_the_image(area: float) -> None:
    assert small(3, PhantomOptions("mel", area=area)).mask.mean() == pytest.approx(area, rel=0.15)


def test_the_lesion_lies_where_the_centre_option_says() -> None:
    mask = small(3, PhantomOptions("nv", centre=(0.3, 0.7), area=0.08, asymmetry=0.0)).mask
    assert ndimage.center_of_mass(mask) == pytest.approx((0.3 * SMALL[0], 0.7 * SMALL[1]), abs=8)


def test_skin_tones_run_from_light_to_dark() -> None:
    light = [
        np.median(small(2, PhantomOptions("nv", skin=tone)).image[:20].reshape(-1, 3), axis=0).mean()
        for tone in ("pale", "tan", "brown", "dark")
    ]
    assert light == sorted(light, reverse=True)
    assert len(SKIN_TONES) >= 6


@pytest.mark.parametrize("label", LABELS)
def test_every_pattern_looks_different(label: str) -> None:
    patterns = HABITS[label].patterns
    images = [small(4, PhantomOptions(label, pattern=pattern)).image for pattern in patterns]
    assert len({image.tobytes() for image in images}) == len(patterns)


@pytest.mark.parametrize("kind", artefacts.KINDS)
def test_an_artefact_changes_the_case_inside_its_mask_only(kind: str) -> None:
    clean = small(7, PhantomOptions("nv"))
    marked = small(7, PhantomOptions("nv", (kind,)))
    changed = np.any(clean.image != marked.image, axis=2)
    assert not clean.artefact_mask.any()
    assert marked.artefact_mask.mean() > 0.002
    assert not (changed & ~marked.artefact_mask).any()
    assert changed.sum() > 0.5 * marked.artefact_mask.sum()
    assert np.array_equal(clean.mask, marked.mask), "an artefact moved the lesion"


@pytest.mark.parametrize(
    "options",
    [
        {"label": "scc"},
        {"label": "nv", "pattern": "veil"},
        {"artefacts": ("sticker",)},
        {"skin": "green"},
        {"size": (32, 600)},
        {"area": 0.9},
        {"irregularity": 1.5},
        {"strength": -0.1},
        {"centre": (0.5, 2.0)},
    ],
)
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="phantom"):
        PhantomOptions(**options)  # type: ignore[arg-type]


def test_samples_cover_the_classes_and_the_common_artefacts() -> None:
    cases = sample_cases()
    assert len(cases) == 10
    assert {case.label for case in cases} == set(LABELS)
    assert {"hair", "ruler", "ink", "patches", "dark_corner"} <= {kind for case in cases for kind in case.artefacts}
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.description for case in cases)


def test_samples_are_rendered_when_asked_for_and_once() -> None:
    case = sample_cases()[0]
    assert case is sample_cases()[0]
    study = case.study
    assert study is case.study
    assert study.pixels.shape == (450, 600, 3)
    assert case.mask.shape == (450, 600)
    assert np.array_equal(study.pixels, make_case(SAMPLES[0].seed, SAMPLES[0].options).study.pixels)


def test_phantoms_do_not_import_torch() -> None:
    code = "import sys, plugins.skin_lesion.phantom; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
