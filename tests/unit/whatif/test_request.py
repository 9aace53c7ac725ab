"""Requests: what they mean on an image, their way through JSON, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from whycad.errors import GeometryError
from whycad.testing.volume_plugins import make_volume
from whycad.types import Region
from whycad.whatif.request import (
    MAX_POINTS,
    MAX_RUNS,
    WhatIfKind,
    WhatIfRequest,
    mask_of,
    request_from_json,
    request_to_json,
    runs_of,
    shown_slice,
)

REGION = WhatIfKind.REGION


@given(arrays.arrays(bool, st.tuples(st.integers(3, 12), st.integers(3, 12))))
@settings(max_examples=60, deadline=None)
def test_a_painted_mask_survives_runs_and_json(mask: np.ndarray) -> None:
    assert sum(runs_of(mask)) == mask.size
    if not 0 < mask.mean() <= 0.6:
        return
    body = json.loads(json.dumps(request_to_json(WhatIfRequest(REGION, runs=runs_of(mask), seed=4))))
    np.testing.assert_array_equal(mask_of(request_from_json(body), mask.shape), mask)


def test_a_box_holds_its_corners_whichever_comes_first() -> None:
    mask = mask_of(WhatIfRequest(REGION, box=Region((5, 8), (2, 3))), (10, 12))
    assert mask[2:6, 3:9].all()
    assert mask.sum() == 4 * 6


def test_a_box_that_reaches_outside_is_cut() -> None:
    assert mask_of(WhatIfRequest(REGION, box=Region((-5, -5), (1, 1))), (10, 12)).sum() == 4


def test_a_polygon_fills_its_inside() -> None:
    triangle = ((1.0, 1.0), (1.0, 9.0), (9.0, 1.0))
    mask = mask_of(WhatIfRequest(REGION, polygon=triangle), (12, 12))
    assert mask[2, 2]
    assert not mask[9, 9]
    assert 30 <= mask.sum() <= 46


def test_a_polygon_goes_through_the_slices_that_are_named() -> None:
    square = ((1.0, 1.0), (1.0, 5.0), (5.0, 5.0), (5.0, 1.0))
    mask = mask_of(WhatIfRequest(REGION, polygon=square, slices=(2, 3)), (6, 12, 12))
    assert mask.any(axis=(1, 2)).tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("request_", "shape", "reason"),
    [
        (WhatIfRequest(REGION, box=Region((20, 20), (25, 25))), (10, 12), "holds no pixel"),
        (WhatIfRequest(REGION, box=Region((0, 0), (9, 11))), (10, 12), "too much"),
        (WhatIfRequest(REGION, box=Region((0, 0, 0), (1, 1, 1))), (10, 12), "number of coordinates"),
        (WhatIfRequest(REGION, box=Region((float("nan"), 0), (1, 1))), (10, 12), "number of coordinates"),
        (WhatIfRequest(REGION, polygon=((0.0, 0.0), (1.0, 1.0))), (10, 12), "three corners"),
        (WhatIfRequest(REGION, polygon=((0.0, 0.0), (1.0, float("inf")), (3.0, 1.0))), (10, 12), "finite"),
        (WhatIfRequest(REGION, polygon=((50.0, 50.0), (60.0, 50.0), (60.0, 60.0))), (10, 12), "holds no pixel"),
        (WhatIfRequest(REGION, runs=(5, 5)), (10, 12), "120 pixels"),
        (WhatIfRequest(REGION, runs=(-5, 125)), (10, 12), "120 pixels"),
        (WhatIfRequest(REGION, polygon=((0.0, 0.0), (0.0, 3.0), (3.0, 3.0))), (4, 10, 12), "first and last slice"),
        (WhatIfRequest(REGION, polygon=((0.0, 0.0), (0.0, 3.0), (3.0, 3.0)), slices=(9, 9)), (4, 10, 12), "not in the"),
    ],
)
def test_a_region_that_cannot_be_filled_is_refused(
    request_: WhatIfRequest, shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(GeometryError, match=reason):
        mask_of(request_, shape)


def test_requests_that_are_too_large_or_ambiguous_are_refused() -> None:
    with pytest.raises(GeometryError, match="corners"):
        WhatIfRequest(REGION, polygon=((0.0, 0.0),) * (MAX_POINTS + 1))
    with pytest.raises(GeometryError, match="runs"):
        WhatIfRequest(REGION, runs=(1,) * (MAX_RUNS + 1))
    with pytest.raises(GeometryError, match="one box"):
        WhatIfRequest(REGION)
    with pytest.raises(GeometryError, match="one box"):
        WhatIfRequest(REGION, box=Region((0, 0), (1, 1)), runs=(1, 1))


@pytest.mark.parametrize(
    "body",
    [{}, {"kind": "explode"}, {"kind": "region", "box": {"start": 3}}, {"kind": "region", "polygon": [[1]]},
     {"kind": "region", "runs": ["x"]}, {"kind": "fragility", "slices": [1]}, {"kind": "fragility", "seed": None}],
)  # fmt: skip
def test_json_that_is_no_request_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(GeometryError):
        request_from_json(body)


def test_the_largest_request_fits_a_message() -> None:
    from whycad.job_protocol import MAX_FRAME_BYTES

    runs = (1234567,) * MAX_RUNS
    assert len(json.dumps(request_to_json(WhatIfRequest(REGION, runs=runs)))) < MAX_FRAME_BYTES


def test_the_slice_comes_from_the_request_before_the_region() -> None:
    volume = make_volume()
    assert shown_slice(WhatIfRequest(WhatIfKind.FRAGILITY, slices=(4, 6)), Region((2, 1, 1)), volume) == 4
    assert shown_slice(WhatIfRequest(WhatIfKind.FRAGILITY), Region((2, 1, 1)), volume) == 2
    assert shown_slice(WhatIfRequest(REGION, box=Region((1, 0, 0), (3, 4, 4))), None, volume) == 2
    with pytest.raises(GeometryError, match="which slice"):
        shown_slice(WhatIfRequest(WhatIfKind.FRAGILITY), None, volume)
    with pytest.raises(GeometryError, match="not one of"):
        shown_slice(WhatIfRequest(WhatIfKind.FRAGILITY, slices=(99, 99)), None, volume)
