"""An audit's charts on the page: every kind is drawn, and every datum leads to its cases."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from dashboard.figures_audit import audit_chart, audit_chart_alt, mark_of
from dashboard.interval_svg import WIDTH, interval_svg, reaches
from whycad.audit.findings import Chart, Finding, Mark, Series, Severity
from whycad.audit.report.svg import series_look
from whycad.testing.sample_audit import sample_audit, sample_results

CHARTS = [chart for result in sample_results() for chart in result.charts]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: f"{chart.kind}-{chart.key}")
@pytest.mark.parametrize("dark", [False, True])
def test_every_datum_is_drawn_and_leads_to_its_mark(chart: Chart, dark: bool) -> None:
    figure = audit_chart(chart, dark=dark)
    found = [
        mark_of(chart, {"customdata": list(data)})
        for trace in figure.data
        if trace.customdata is not None
        for data in trace.customdata
    ]
    assert found == [mark for series in chart.series for mark in series.marks]
    assert chart.title[:20] in audit_chart_alt(chart)


def test_no_two_of_many_series_look_alike() -> None:
    marks = (Mark(x=0, y=0.5), Mark(x=1, y=0.6))
    series = tuple(Series(name=f"series {i}", marks=marks) for i in range(12))
    drawn = audit_chart(Chart(key="k", title="t", kind="line", series=series)).data
    assert len({(trace.line.color, trace.marker.symbol, trace.line.dash) for trace in drawn}) == 12
    assert len({series_look(i) for i in range(12)}) == 12


def test_counts_that_are_all_the_same_stand_in_the_middle_of_whole_numbers() -> None:
    marks = tuple(Mark(x=3600, y=y) for y in (0.1, 0.2))
    axis = audit_chart(Chart(key="k", title="t", kind="scatter", series=(Series(marks=marks),))).layout.xaxis
    assert (list(axis.range), axis.tickformat) == ([3240.0, 3960.0], ",")
    apart = (Mark(x=10, y=0.1), Mark(x=20, y=0.2))
    assert audit_chart(Chart(key="k", title="t", kind="line", series=(Series(marks=apart),))).layout.xaxis.range is None


def test_all_kinds_are_among_the_charts() -> None:
    assert {chart.kind for chart in CHARTS} == {"interval", "line", "bar", "scatter", "histogram", "heatmap"}


@pytest.mark.parametrize("data", [None, [], {}, ["a", "b"], [0, 99], [-1, -1], [7, 0], {"0": 0, "1": 99}])
def test_a_point_that_is_no_mark_leads_nowhere(data: object) -> None:
    assert mark_of(CHARTS[0], {"customdata": data}) is None


def test_names_from_data_are_neither_markup_nor_templates() -> None:
    mark = Mark(x="<b>%{x}</b>", y=1.0, low=0.5, high=2.0)
    chart = Chart(key="k", title="t", kind="bar", series=(Series(name="<i>%{y}</i>", marks=(mark,)),))
    drawn = audit_chart(chart).data[0]
    for text in (drawn.x[0], drawn.name, drawn.hovertemplate.split(": ")[0]):
        assert "<b" not in text
        assert "<i" not in text
        assert "%{" not in text.replace("%{customdata", "")


def test_intervals_of_one_kind_share_a_scale_and_ratios_are_logarithmic() -> None:
    findings = [f for f in sample_audit().findings if f.effect is not None]
    scale = reaches(findings)
    for finding in findings:
        svg = ElementTree.fromstring(interval_svg(finding, scale[finding.effect_name]))
        places = [float(line.get(x) or 0) for line in svg.iter() for x in ("x1", "x2", "cx") if line.get(x)]
        assert all(0 <= place <= WIDTH for place in places)
    half, twice = (
        Finding(check="c", severity=Severity.OK, message="m", effect=e, effect_name="odds ratio", no_effect=1.0)
        for e in (0.5, 2.0)
    )
    scale = reaches([half, twice])
    places = [
        float(ElementTree.fromstring(interval_svg(f, scale["odds ratio"]))[-1].get("cx") or 0) for f in (half, twice)
    ]
    assert places[0] + places[1] == pytest.approx(WIDTH, abs=0.2), "half and twice lie equally far from no effect"


def test_a_finding_without_a_number_has_no_picture() -> None:
    assert interval_svg(Finding(check="c", severity=Severity.OK, message="m"), 1.0) == ""
