"""Every kind of chart is drawn with real text, escaped, and without numbers that are none."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whycad.audit.findings import Chart, Kind, Mark, Series, Severity
from whycad.audit.report.charts import NOTHING_TO_DRAW, draw_chart
from whycad.audit.report.heatmap_chart import tones_for
from whycad.audit.report.plane_charts import MAX_POINTS
from whycad.audit.report.row_charts import MAX_ROWS
from whycad.audit.report.svg import PALETTE, Drawing, cut, text_width
from whycad.testing.hostile_audit import HTML, LONG, hostile_result
from whycad.testing.sample_audit import sample_results

SVG = "{http://www.w3.org/2000/svg}"
KINDS: tuple[Kind, ...] = ("interval", "line", "bar", "scatter", "histogram", "heatmap")
CHARTS = [chart for result in sample_results() for chart in result.charts]


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(str(draw_chart(chart).svg))


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def numbers(root: ElementTree.Element) -> list[float]:
    names = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height")
    found = [float(e.attrib[n]) for e in root.iter() for n in names if n in e.attrib]
    points = [e.attrib["points"] for e in root.iter() if "points" in e.attrib]
    return [*found, *(float(n) for line in points for n in re.split(r"[ ,]", line))]


def chart(kind: Kind, *series: Series, **facts: object) -> Chart:
    return Chart.model_validate({"key": "k", "title": "Title", "kind": kind, "series": series, **facts})


def test_the_sample_has_every_kind() -> None:
    assert {c.kind for c in CHARTS} == set(KINDS)


@pytest.mark.parametrize("one", CHARTS, ids=lambda one: one.key)
def test_each_is_whole_and_within_its_edges(one: Chart) -> None:
    root = parsed(one)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == one.title
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter(f"{SVG}text"):
        x, y, long = float(element.attrib["x"]), float(element.attrib["y"]), text_width(element.text or "")
        start = {"start": x, "middle": x - long / 2, "end": x - long}[element.attrib["text-anchor"]]
        assert start >= -1, element.text
        assert start + long <= width + 8, element.text
        assert 0 < y <= height, element.text
    assert draw_chart(one).remark == ""


def test_an_interval_chart_names_its_rows_and_says_their_numbers() -> None:
    change = next(c for c in CHARTS if c.key == "change")
    said = texts(parsed(change))
    assert {"coloured patch", "ink marking", "sham", "change in probability", "−0.19 (−0.24 to −0.14)"} <= set(said)
    tips = [e.text for e in parsed(change).iter(f"{SVG}title")]
    assert "coloured patch: −0.19 (−0.24 to −0.14), n = 120" in tips


def test_severities_differ_in_shape_and_not_only_in_colour() -> None:
    def drawn(severity: Severity) -> str:
        svg = str(draw_chart(chart("interval", Series(marks=(Mark(x=0.1, y="a", severity=severity),)))).svg)
        return re.sub(r'(class|fill|stroke)="[^"]*"', "", svg)

    assert len({drawn(severity) for severity in Severity}) == 4


def test_series_differ_in_dashes_and_have_a_legend() -> None:
    series = [Series(name=name, marks=(Mark(x=0, y=0), Mark(x=1, y=1))) for name in ("noise", "blur", "crop")]
    root = parsed(chart("line", *series))
    assert {"noise", "blur", "crop"} <= set(texts(root))
    dashes = [e.attrib.get("stroke-dasharray") for e in root.iter(f"{SVG}polyline")]
    assert len(set(dashes)) == 3


def test_bars_start_at_zero_and_grow_with_their_value() -> None:
    root = parsed(chart("bar", Series(marks=(Mark(x="a", y=1.0), Mark(x="b", y=2.0)))))
    short, long = (float(e.attrib["width"]) for e in root.iter(f"{SVG}rect"))
    assert long == pytest.approx(2 * short, rel=0.01)


def test_a_heat_map_writes_its_numbers_into_its_cells() -> None:
    passes = next(c for c in CHARTS if c.kind == "heatmap")
    assert {"0.61", "0.90", "–", "Grad-CAM", "randomisation"} <= set(texts(parsed(passes)))
    assert tones_for([-0.2, 0.4], None).colour(0.0) == (247, 247, 247)
    assert tones_for([0.2, 0.4], None).colour(1.0) == (8, 48, 107)


def test_the_line_of_no_effect_and_the_diagonal_are_drawn() -> None:
    marks = Series(marks=(Mark(x=0.2, y=0.1), Mark(x=0.8, y=0.9)))
    plain = len(list(parsed(chart("line", marks)).iter(f"{SVG}line")))
    assert str(draw_chart(chart("line", marks, reference=0.5)).svg).count("stroke-dasharray") == 1
    assert str(draw_chart(chart("line", marks, diagonal=True)).svg).count("stroke-dasharray") == 1
    assert plain


@pytest.mark.parametrize("one", hostile_result(1).charts, ids=lambda one: one.kind)
def test_hostile_charts_are_escaped_and_whole(one: Chart) -> None:
    drawn = draw_chart(one)
    if not drawn.svg:
        assert drawn.remark == NOTHING_TO_DRAW
        return
    root = parsed(one)
    assert not [e for e in root.iter() if e.tag.rpartition("}")[2] in ("img", "script", "b")]
    assert all(map(math.isfinite, numbers(root)))
    assert LONG not in str(drawn.svg)
    assert "\u202e" not in str(drawn.svg)


def test_what_is_too_much_is_left_out_and_counted() -> None:
    many = Series(marks=tuple(Mark(x=float(i), y=float(i % 7)) for i in range(10_000)))
    drawn = draw_chart(chart("scatter", many))
    assert drawn.remark == f"{MAX_POINTS:,} of 10,000 marks are drawn."
    assert str(drawn.svg).count("<circle") == MAX_POINTS
    rows = Series(marks=tuple(Mark(x=0.1, y=f"row {i}") for i in range(500)))
    assert draw_chart(chart("interval", rows)).remark == f"{MAX_ROWS} of 500 marks are drawn."


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_draw_is_said(kind: Kind) -> None:
    assert draw_chart(chart(kind)).remark == NOTHING_TO_DRAW
    assert draw_chart(chart(kind, Series(marks=()))).remark == NOTHING_TO_DRAW
    assert draw_chart(chart(kind, Series(marks=(Mark(x="a", y="b"),)))).remark == NOTHING_TO_DRAW


values = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=12))
maybe = st.none() | st.floats(allow_nan=False, allow_infinity=False)
marks = st.builds(
    Mark, x=values, y=values, z=maybe, low=maybe, high=maybe, severity=st.none() | st.sampled_from(Severity)
)
series = st.lists(
    st.builds(Series, name=st.text(max_size=12), marks=st.lists(marks, max_size=5).map(tuple)), max_size=4
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), series, maybe, st.booleans())
def test_any_chart_is_drawn_whole(kind: Kind, parts: list[Series], reference: float | None, diagonal: bool) -> None:
    drawn = draw_chart(chart(kind, *parts, reference=reference, diagonal=diagonal))
    assert drawn.svg or drawn.remark == NOTHING_TO_DRAW
    if drawn.svg:
        assert all(map(math.isfinite, numbers(ElementTree.fromstring(str(drawn.svg)))))


def test_long_text_is_cut_to_its_room() -> None:
    assert cut("short", 100) == "short"
    assert cut(LONG, 100).endswith("…")
    assert text_width(cut(LONG, 100)) <= 100
    assert text_width("漢字") > text_width("ab")


def test_every_colour_has_a_light_and_a_dark_tone_that_can_be_told_from_its_page() -> None:
    def light(tone: str) -> float:
        parts = [int(tone[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    for name in set(PALETTE) - {"grid", "paper"}:
        for mode in (0, 1):
            wanted = 4.5 if name in ("ink", "quiet") else 3.0
            assert contrast(PALETTE[name][mode], PALETTE["paper"][mode]) >= wanted, (name, mode)


def test_a_drawing_escapes_what_it_is_given() -> None:
    drawing = Drawing(10, 10)
    drawing.text((1, 1), HTML)
    drawing.rect((0, 0), (1, 1), "ok", HTML)
    assert "<script" not in str(drawing.markup(HTML))


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_legend_of_several_lines_leaves_room_for_what_is_below(diagonal: bool) -> None:
    names = [f"a series with a long name {index}" for index in range(6)]
    series = [Series(name=name, marks=(Mark(x=0.0, y=0.0), Mark(x=1.0, y=1.0))) for name in names]
    root = parsed(chart("line", *series, y_title="Share that came true", diagonal=diagonal))
    heights = {text.text: float(text.get("y", "nan")) for text in root.iter(f"{SVG}text")}
    lowest = max(heights[name] for name in names)
    assert lowest > min(heights[name] for name in names), "one line holds them all"
    assert heights["Share that came true"] >= lowest + 12


@pytest.mark.parametrize(("n", "bands"), [(6, 6), (7, 0)])
def test_bands_of_many_lines_are_left_to_the_table(n: int, bands: int) -> None:
    marks = tuple(Mark(x=float(x), y=0.5, low=0.2, high=0.9) for x in range(3))
    drawn = draw_chart(chart("line", *(Series(name=f"s{i}", marks=marks) for i in range(n))))
    assert drawn.svg.count("fill-opacity") == bands
    assert ("left to the table" in drawn.remark) == (bands == 0)
