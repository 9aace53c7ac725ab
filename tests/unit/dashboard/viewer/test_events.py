from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.components.viewer.events import parse_event, rasterise
from dashboard.components.viewer.model import Stroke, ViewerEvent

SHAPE = (10, 20)
GOOD: dict[str, Any] = {
    "kind": "click",
    "seq": 7,
    "version": "v",
    "click": [3, 4],
    "box": [[1, 2], [5, 6]],
    "brush": [{"radius": 2, "points": [[0, 0], [0, 1]]}],
}


def parse(**changes: Any) -> ViewerEvent:
    return parse_event({**GOOD, **changes}, version="v", shape=SHAPE)


def test_a_good_event_comes_through_whole() -> None:
    assert parse() == ViewerEvent("click", 7, (3, 4), ((1, 2), (5, 6)), (Stroke(((0, 0), (0, 1)), 2.0),))


def test_marks_on_another_image_are_dropped() -> None:
    assert parse(version="older") == ViewerEvent()


@pytest.mark.parametrize("click", [[10, 0], [0, 20], [-1, 0], [1.5, 2], [True, 1], [1], [1, 2, 3], "12", None, {}])
def test_points_outside_or_malformed_are_dropped(click: object) -> None:
    assert parse(click=click).click is None


def test_the_slice_on_show_is_known_of_volumes_only() -> None:
    assert parse(kind="slice", slice=3).slice is None
    volume = {**GOOD, "kind": "slice", "click": None, "slice": 3}
    assert parse_event(volume, version="v", shape=(10, 20, 30)) == ViewerEvent("slice", 7, slice=3)
    for wrong in (-1, 30, True, 1.5, "3", None, [3]):
        assert parse_event({**volume, "slice": wrong}, version="v", shape=(10, 20, 30)).slice is None


@pytest.mark.parametrize("box", [[[5, 6], [1, 2]], [[1, 2]], [[1, 2], [5, 20]], 3])
def test_boxes_that_are_upside_down_or_outside_are_dropped(box: object) -> None:
    assert parse(box=box).box is None


@pytest.mark.parametrize("stroke", [{"radius": -1, "points": [[0, 0]]}, {"radius": 1, "points": [[99, 0]]}, {}, 4])
def test_broken_strokes_are_dropped_and_the_rest_stays(stroke: object) -> None:
    assert len(parse(brush=[stroke, GOOD["brush"][0]]).brush) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(["kind", "seq", "click", "box", "brush"]), JSON)
@settings(max_examples=80, deadline=None)
def test_nothing_from_the_browser_raises(field: str, value: object) -> None:
    event = parse(**{field: value})
    assert event.click is None or all(0 <= v < n for v, n in zip(event.click, SHAPE, strict=True))


@given(JSON)
@settings(max_examples=40, deadline=None)
def test_any_payload_is_an_event(payload: object) -> None:
    assert isinstance(parse_event(payload, version="v", shape=SHAPE, overlay=payload), ViewerEvent)


def test_strokes_paint_a_disc_along_their_line() -> None:
    mask = rasterise((Stroke(((5, 5), (5, 10)), 2.0), Stroke(((0, 19),), 0.0)), SHAPE)
    rows, columns = np.mgrid[:10, :20]
    near = np.hypot(rows - 5, columns - np.clip(columns, 5, 10)) <= 2
    near[0, 19] = True
    np.testing.assert_array_equal(mask, near)
