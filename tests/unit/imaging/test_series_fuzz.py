"""Damaged series, volumes and archives end in a sound study or a typed error, whatever is damaged."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whycad.testing.dicom import CANARY, Writing, make_enhanced_ct
from whycad.testing.series import make_ct_series, make_dicomdir, make_oct_volume, make_zip

VOLUME = np.random.default_rng(0).integers(-1000, 1500, (4, 5, 6)).astype(np.int16)
SERIES = make_ct_series(VOLUME, (2.0, 0.7, 0.8), patient=CANARY)
FRAMES = np.random.default_rng(1).integers(0, 256, (4, 5, 6), dtype=np.uint8)
OCT = make_oct_volume(FRAMES, (0.1, 0.004, 0.01), Writing(CANARY, seed="oct"))
ENHANCED = make_enhanced_ct(VOLUME[:3], [(1, 0)] * 3, [0.0, 2.0, 6.0], Writing(CANARY, seed="enhanced"))
ARCHIVE = make_zip([*SERIES, OCT], stored=True)
DISC = make_zip({"DICOMDIR": make_dicomdir([["A", "0"], ["A", "1"]]), "A/0": SERIES[0], "A/1": SERIES[1]})

# Where to hit: a share of the file, so that headers and pixels of every size are reached.
damages = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "drop", "swap"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=6,
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damaged(data: bytes, hits: list[tuple[str, float, int]], start: int = 0) -> bytes:
    """Hit a file in places given as a share of what lies behind ``start``."""
    out = bytearray(data)
    for kind, share, value in hits:
        at = min(len(out) - 1, start + int(share * max(1, len(out) - start)))
        if len(out) < 2:
            break
        if kind == "set":
            out[at] = value
        elif kind == "insert":
            out[at:at] = bytes([value]) * (value % 9 + 1)
        elif kind == "drop":
            del out[at : at + value % 9 + 1]
        elif kind == "swap":
            other = (at * 31 + value) % len(out)
            out[at], out[other] = out[other], out[at]
        elif value < 40:
            del out[at:]
    return bytes(out)


def check(items: Any) -> None:
    for item in items:
        if item.study is not None:
            pixels = item.study.pixels
            assert pixels.size
            assert np.isfinite(pixels).all()
            spacing = item.study.spacing_mm
            assert spacing is None or (len(spacing) == len(item.study.spatial_shape) and min(spacing) > 0)


@FUZZ
@given(hits=damages, which=st.integers(0, 3), all_slices=st.booleans())
def test_damaged_slices(read_all: Any, hits: list[tuple[str, float, int]], which: int, all_slices: bool) -> None:
    files = [damaged(data, hits, 132) if all_slices or k == which else data for k, data in enumerate(SERIES)]
    check(read_all(files))


@FUZZ
@given(hits=damages, enhanced=st.booleans())
def test_damaged_volumes(read_all: Any, hits: list[tuple[str, float, int]], enhanced: bool) -> None:
    check(read_all([damaged(ENHANCED if enhanced else OCT, hits, 132), *SERIES[:2]]))


@FUZZ
@given(hits=damages, disc=st.booleans())
def test_damaged_archives(read_all: Any, hits: list[tuple[str, float, int]], disc: bool) -> None:
    check(read_all([damaged(DISC if disc else ARCHIVE, hits, 0)]))


numbers = st.sampled_from(["0", "-0", "1", "-1", "1e-9", "1e30", "-1e5", "99999", "0.7", "2.5", "3", "1e-3", ""])
KEYWORDS = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
    "SpacingBetweenSlices": 1,
    "GantryDetectorTilt": 1,
    "PixelPaddingValue": 0,
    "WindowWidth": 1,
}


@st.composite
def tags(draw: st.DrawFn) -> dict[str, Any]:
    keyword = draw(st.sampled_from(sorted(KEYWORDS)))
    count = KEYWORDS[keyword]
    if count == 0:
        return {keyword: draw(st.integers(-32768, 32767))}
    values = draw(st.lists(numbers, min_size=max(0, count - 1), max_size=count))
    return {keyword: values if len(values) != 1 else values[0]}


@FUZZ
@given(tags=st.lists(tags(), min_size=2, max_size=4), order=st.permutations(range(4)))
def test_headers_with_any_numbers(read_all: Any, tags: list[dict[str, Any]], order: list[int]) -> None:
    """Each slice gets a header of its own: places, directions and scales that fit nothing."""
    files = []
    for k in order:
        own = tags[k % len(tags)]
        others = [j for j in range(4) if j != k]
        files += make_ct_series(VOLUME, (2.0, 0.7, 0.8), patient=CANARY, missing=others, **own)
    check(read_all(files))
