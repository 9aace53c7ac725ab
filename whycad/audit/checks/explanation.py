"""How far the task's maps can be trusted: measured on the audited images, or as stored with the task."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.change_stats import interval_words
from whycad.audit.changes.asking import sampled
from whycad.audit.changes.words import simulated_note
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import Cell, Chart, CheckResult, Column, Finding, Mark, Series, Severity, Table
from whycad.audit.run.engine import map_batches
from whycad.audit.run.grades import GradeJob, rows_from
from whycad.errors import DatasetError, ManifestError
from whycad.map_grades import Figure, MethodFigures, Thresholds, map_grades_of
from whycad.wording import method_name, percent

# They take minutes a case: figures of theirs come from what is stored with the task.
SLOW = ("lime", "kernel_shap", "rise")
GRADES = ("A", "B", "C", "fails")
# More failing maps than this is worth a look; more than half, and readers should not be shown them.
SOME_FAIL, MOST_FAIL = 0.25, 0.5
CASES_OF_A_CHUNK = 4
METHOD = (
    "Of every map: how much faster the score of the predicted label falls (deletion) or rises (insertion) when about "
    "250 cells are hidden or shown in the map's order rather than at random or by an edge detector; whether the map "
    "changes when the weights are drawn anew; whether it stays with slight noise; and, where people outlined the "
    "finding, how much lies inside. Thresholds of the grades were set on calibration cases of the task; general ones "
    "hold where it stores none. Means with 95 % bootstrap intervals over groups. A grade says how far a map follows "
    "the model, not that it is right, and no map is a localisation."
)
REFERENCES = (
    "Adebayo 2018, Sanity checks for saliency maps, arXiv:1810.03292",
    "Petsiuk 2018, RISE: randomized input sampling for explanation of black-box models, arXiv:1806.07421",
)


@dataclass(frozen=True, eq=False)
class Graded:
    """Figures by method, and what they were measured on.

    Attributes
    ----------
    figures : mapping of str to MethodFigures
    source : str
        For a sentence, such as ``these images``.
    thresholds : Thresholds
    failing : mapping of str to tuple of str
        Ids of cases whose map fails, by method; empty where the figures are stored ones.
    """

    figures: dict[str, MethodFigures]
    source: str
    thresholds: Thresholds
    failing: dict[str, tuple[str, ...]]


def run(context: AuditContext) -> CheckResult:
    """Grade maps of audited images where there are enough of them; else report what is stored."""
    assert context.plugin is not None
    try:
        stored = map_grades_of(context.plugin)
    except ManifestError as error:
        raise DatasetError(f"the task's stored grades are broken: {error}") from error
    graded = _measured(context) if context.options.n_explained >= context.options.least_n else None
    told = Graded(dict(stored.methods), _stored_on(context), stored.thresholds, {})
    if graded is None and not told.figures:
        raise CheckSkippedError(
            f"maps are graded from {context.options.least_n} images on, and the task has stored no grades"
        )
    # What is slow was not measured here: stored figures stand beside.
    others = {m: f for m, f in told.figures.items() if graded is None or m not in graded.figures}
    parts = [part for part in (graded, replace(told, figures=others)) if part is not None and part.figures]
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_finding(context, part, method) for part in parts for method in part.figures),
        tables=(_table(parts),),
        charts=tuple(_charts(parts)),
        note=simulated_note(context),
    )


def _stored_on(context: AuditContext) -> str:
    assert context.plugin is not None
    source = map_grades_of(context.plugin).source
    return f"stored with the task, {source.report_on}" if source else "stored with the task"


def quick_methods(context: AuditContext) -> tuple[str, ...]:
    """Return the methods that readers are offered and that are quick enough to be graded here."""
    return tuple(method for method in context.manifest.explain.methods if method not in SLOW)


def _measured(context: AuditContext) -> Graded | None:
    from whycad.audit.map_fidelity_figures import method_figures

    assert context.plugin is not None
    methods, scope = quick_methods(context), sampled(context, context.options.n_explained)
    if not methods or not len(scope):
        return None
    job = GradeJob(context.ref, methods, context.device, context.options.seed)
    engine = replace(context.engine, chunk=min(context.engine.chunk, CASES_OF_A_CHUNK))
    measures = map_batches(job, context.scope[scope].tolist(), engine).read(["measures"])["measures"].to_pylist()
    known = [place for place, text in enumerate(measures) if text]
    if not known:
        return None
    thresholds = map_grades_of(context.plugin).thresholds
    groups = context.in_scope.groups[scope]
    rows = rows_from([measures[place] for place in known], [str(groups[place]) for place in known])
    by_method = {method: [row for row in rows if row.method == method] for method in methods}
    figures = {m: method_figures(own, thresholds, context.options.seed) for m, own in by_method.items() if own}
    failing = {m: _failing(context, scope[known], [row.fidelity.grade for row in own]) for m, own in by_method.items()}
    return Graded(figures, "these images", thresholds, failing)


def _failing(context: AuditContext, scope: NDArray[np.int64], grades: list[str]) -> tuple[str, ...]:
    return context.ids(scope[np.array([grade == "fails" for grade in grades], bool)])


def _finding(context: AuditContext, part: Graded, method: str) -> Finding:
    figures, name = part.figures[method], method_name(method)
    n, least = figures.n, context.options.least_n
    gain, failing = _gain(figures), part.failing.get(method, ())
    about = {"check": CHECK.id, "column": method, "n": n, "cases": failing, "n_cases": figures.n_failed}
    if n < least:
        message = f"{name}: not established, {n} of the {least} maps that it takes ({part.source})."
        return Finding.model_validate({**about, "severity": Severity.UNKNOWN, "message": message})
    grades = ", ".join(f"{figures.grades.get(grade, 0)} {grade}" for grade in GRADES)
    verdict = "" if figures.passes_randomisation else " The maps hardly change when the weights are random."
    low, high = gain.interval or (None, None)
    message = (
        f"{name}: of {n} maps {percent(figures.n_failed / n)} fail (grades {grades}); {_gain_words(gain)}, "
        f"{part.source}.{verdict}"
    )
    more = {"effect": gain.value, "effect_name": "deletion gain over random", "ci_low": low, "ci_high": high}
    return Finding.model_validate({**about, **more, "severity": severity_of(figures), "message": message})


def _gain(figures: MethodFigures) -> Figure:
    return figures.deletion_random


def _gain_words(gain: Figure) -> str:
    """Say how much faster the score falls where a map's places are hidden."""
    where = interval_words(*(gain.interval or (None, None)))
    if gain.value <= 0:
        return (
            "hiding what the map marks lowers the score no faster than hiding random places: by "
            f"{gain.value:+.2f} of its range ({where})"
        )
    return (
        f"hiding what the map marks lowers the score faster than hiding random places, by {gain.value:.2f} of its "
        f"range ({where})"
    )


def severity_of(figures: MethodFigures) -> Severity:
    """Return how worrying a method's maps are."""
    share = figures.n_failed / figures.n
    low = figures.deletion_random.interval[0] if figures.deletion_random.interval else 0.0
    if not figures.passes_randomisation or share > MOST_FAIL:
        return Severity.CRITICAL
    return Severity.WARNING if share > SOME_FAIL or low <= 0 else Severity.OK


def _table(parts: list[Graded]) -> Table:
    titles = {"method": "Method", "on": "Measured on", "n": "Maps"} | {grade: f"Grade {grade}" for grade in "ABC"}
    titles["fails"] = "Fail"
    for key, title in (
        ("deletion", "Deletion gain"),
        ("insertion", "Insertion gain"),
        ("edges", "Deletion over edges"),
    ):
        titles |= {key: title, f"{key}_low": "95 % from", f"{key}_high": "to"}
    titles |= {"similar": "Similar after randomisation", "stability": "Stability", "stability_low": "95 % from"}
    titles |= {"stability_high": "to", "inside": "Mass ratio inside the outline", "inside_shifted": "shifted"}
    rows = tuple(_row(part, method) for part in parts for method in part.figures)
    cases = tuple(part.failing.get(method, ()) for part in parts for method in part.figures)
    columns = tuple(Column(key=key, title=title) for key, title in titles.items())
    return Table(key="grades", title="Maps by method", columns=columns, rows=rows, cases=cases)


def _row(part: Graded, method: str) -> tuple[Cell, ...]:
    figures = part.figures[method]
    inside = figures.inside
    return (
        method_name(method),
        part.source,
        figures.n,
        *(figures.grades.get(grade, 0) for grade in GRADES),
        *_cells(figures.deletion_random),
        *_cells(figures.insertion_random),
        *_cells(figures.deletion_edges),
        figures.similarity[-1].value if figures.similarity else None,
        *(_cells(figures.stability) if figures.stability else (None, None, None)),
        None if inside is None else inside.mass_ratio.value,
        None if inside is None else inside.mass_ratio_shifted.value,
    )


def _cells(figure: Figure) -> tuple[float, float | None, float | None]:
    return (figure.value, *(figure.interval or (None, None)))


def _charts(parts: list[Graded]) -> list[Chart]:
    marks = tuple(
        Mark(
            x=figures.deletion_random.value,
            y=f"{method_name(method)}{'' if part.failing else ' (stored)'}",
            low=(figures.deletion_random.interval or (None, None))[0],
            high=(figures.deletion_random.interval or (None, None))[1],
            n=figures.n,
            severity=severity_of(figures),
            cases=part.failing.get(method, ()),
        )
        for part in parts
        for method, figures in part.figures.items()
    )
    grades = tuple(
        Series(
            name=grade,
            marks=tuple(
                Mark(x=method_name(method), y=figures.grades.get(grade, 0) / figures.n, n=figures.n)
                for part in parts
                for method, figures in part.figures.items()
            ),
        )
        for grade in GRADES
    )
    title = "How much faster the score falls when the map's places are hidden than random ones"
    return [
        Chart(key="gain", title=title, kind="interval", series=(Series(marks=marks),), x_title="gain", reference=0.0),
        Chart(key="grades", title="Grades by method", kind="bar", series=grades, y_title="share of maps"),
    ]


CHECK = Check("explanation", "Explanation maps", "How far do the maps follow the model?", run)
