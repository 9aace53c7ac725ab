"""An audit full of what should do no harm: markup, formulas, very long words, other directions, many rows."""

from __future__ import annotations

from whycad.audit.findings import (
    Audit,
    Cell,
    Chart,
    CheckResult,
    CheckStatus,
    Column,
    FailedCase,
    Finding,
    Kind,
    Mark,
    Picture,
    Series,
    Severity,
    Table,
)
from whycad.testing.sample_audit import sample_audit

HTML = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
LONG = "Donaudampfschifffahrtsgesellschaftskapitaen" * 80
RTL = "\u202eevil\u202c שלום مرحبا"
EMOJI = "🩺👩‍⚕️🇦🇹"
FORMULA = '=HYPERLINK("http://x","y")'
MARKDOWN = "| a | **b** [c](http://d) `e` # <b>f</b>"
NASTY = (HTML, LONG, RTL, EMOJI, FORMULA, MARKDOWN, "a\x00b\r\nc", "", "&lt;&amp;")


def hostile_result(n_rows: int = 10_000) -> CheckResult:
    """Return a check whose every text is nasty, with a table of many rows and pictures that are not there."""
    rows: tuple[tuple[Cell, ...], ...] = tuple((NASTY[i % len(NASTY)], 1e300, None, i) for i in range(n_rows))
    kinds: tuple[Kind, ...] = ("interval", "line", "bar", "scatter", "histogram", "heatmap")
    marks = tuple(Mark(x=t, y=t, z=1.0, cases=(t,)) for t in NASTY)
    numbers = tuple(Mark(x=t, y=1e300, low=-1e300, high=1e300) for t in NASTY)
    columns = tuple(Column(key=t, title=t) for t in NASTY)
    return CheckResult(
        check="performance",
        title=HTML,
        question=RTL,
        method=LONG,
        references=NASTY,
        note=MARKDOWN,
        findings=tuple(
            Finding(
                check="performance", severity=s, message=t, column=t, label=t, effect=1e300, effect_name=t, cases=NASTY
            )
            for t in NASTY
            for s in Severity
        ),
        tables=(
            Table(key="../../x", title=HTML, columns=columns[:4], rows=rows, note=HTML),
            Table(key="wide", title=LONG, columns=columns * 4, rows=(rows[0] * 9,)),
            Table(key="none", title="", columns=(), rows=()),
        ),
        charts=tuple(
            Chart(key=k, title=HTML, kind=k, series=(Series(name=t, marks=m),), x_title=LONG, y_title=RTL, note=EMOJI)
            for k in kinds
            for m in (marks, numbers, ())
            for t in (HTML, LONG)
        ),
        pictures=tuple(Picture(file=f, caption=HTML, case=RTL) for f in ("../audit.json", "/etc/passwd", "no.png")),
    )


def hostile_audit() -> Audit:
    """Return the sample audit with every text replaced by a nasty one."""
    sample = sample_audit()
    assert sample.model is not None
    return sample.model_copy(
        update={
            "model": sample.model.model_copy(update={"title": HTML, "labels": NASTY, "version": RTL}),
            "data": sample.data.model_copy(update={"name": HTML, "split": RTL, "labels": dict.fromkeys(NASTY, 3)}),
            "run": sample.run.model_copy(
                update={"command": HTML, "trusted": {"performance": HTML}, "created_utc": HTML}
            ),
            "checks": (
                CheckStatus(check="performance", status="done"),
                CheckStatus(check=HTML, status="failed", why=HTML),
            ),
            "findings": hostile_result(1).findings,
            "failed": tuple(FailedCase(case=t, row=i, why=t) for i, t in enumerate(NASTY * 60)),
            "metrics": {HTML: {"value": 1e300, "ci_low": -1e300, "ci_high": 1e300}},
        }
    )
