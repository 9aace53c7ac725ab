"""Whether the model's maps lie inside artefacts more than chance would have it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.change_stats import Effect, interval_words, mean_effects
from whycad.audit.changes.asking import balanced_sample
from whycad.audit.changes.words import listed, simulated_note, upper_first
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Mark, Series, Severity, Table
from whycad.audit.run.engine import map_batches
from whycad.audit.run.found import ArtefactsFound, artefacts_found
from whycad.audit.run.maps import MapJob, MapsMade, cheapest_method, maps_from
from whycad.whatif.artefacts import artefact_words
from whycad.wording import method_name, percent

# So much more of the map than if it lay elsewhere is worth a look; half of the map in an artefact is worrying.
# In phantom tests up to 0.07 more lay in artefacts that the network did not respond to.
WORTH_A_LOOK, HALF = 0.10, 0.5
MAPS_OF_A_CHUNK = 16
N_CASES = 12
METHOD = (
    "A map is made of the predicted label by the task's quickest gradient method, for images in which the detectors "
    "find an artefact. Compared are the share of the map's positive mass inside the artefact and the same share "
    "after the map was shifted by quarters of the view, averaged over images, with a 95 % bootstrap interval over "
    "groups and Holm's correction over the artefacts. No map is a localisation: mass inside an artefact says that "
    "the score depends on that place, not that the artefact decides."
)
REFERENCES = ("Lapuschkin 2019, Unmasking Clever Hans predictors, doi:10.1038/s41467-019-08987-4",)


@dataclass(frozen=True, eq=False)
class InArtefact:
    """How maps lie to one kind of artefact.

    Attributes
    ----------
    kind : str
    gain : Effect
        Mean share of the map inside, less that of the shifted maps.
    mass, shifted, area : float
        Means: share inside, as it is and shifted; share of the view that the artefact takes.
    rows : ndarray of int64
        Cases, the largest gain first, as places in the scope.
    """

    kind: str
    gain: Effect
    mass: float
    shifted: float
    area: float
    rows: NDArray[np.int64]


def run(context: AuditContext) -> CheckResult:
    """Make maps of images with artefacts and measure where they lie."""
    there = artefacts_found(context)
    if not there.kinds:
        raise CheckSkippedError("no artefact was found in the images of this split")
    method = cheapest_method(context.manifest)
    scope = rows_with_artefacts(context, there)
    made = make_maps(context, scope, method)
    found = measured(context, made)
    if not found:
        raise CheckSkippedError("no map lies in an image with an artefact that the network sees")
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=f"{METHOD} Method: {method_name(method)}.",
        references=REFERENCES,
        findings=tuple(findings_of(context, found, method_name(method))),
        tables=(_table(context, found),),
        charts=(_chart(context, found),),
        note=simulated_note(context),
    )


def rows_with_artefacts(context: AuditContext, there: ArtefactsFound) -> NDArray[np.int64]:
    """Choose images of every kind of artefact: enough of each, and more where there is room."""
    options = context.options
    limit = max(options.least_n, options.n_explained // len(there.kinds))
    labels, groups = context.answers.label, context.in_scope.groups
    chosen = [balanced_sample(labels, groups, there.of(kind), limit, options.seed) for kind in there.kinds]
    return np.unique(np.concatenate(chosen))


def make_maps(context: AuditContext, scope: NDArray[np.int64], method: str) -> MapsMade:
    """Make the maps of rows, ``scope`` being places in the audit's scope."""
    job = MapJob(context.ref, method, context.device, context.options.seed)
    engine = replace(context.engine, chunk=min(context.engine.chunk, MAPS_OF_A_CHUNK))
    return maps_from(map_batches(job, context.scope[scope].tolist(), engine).read(), scope)


def measured(context: AuditContext, made: MapsMade) -> list[InArtefact]:
    """Return how the maps lie to every kind of artefact."""
    groups = context.in_scope.groups[made.scope]
    gains = {kind: made.mass[kind] - made.shifted[kind] for kind in made.mass}
    if not gains:
        return []
    effects = mean_effects(gains, groups, context.bootstrap(groups))
    return [
        InArtefact(
            kind,
            effects[kind],
            float(np.nanmean(made.mass[kind])),
            float(np.nanmean(made.shifted[kind])),
            float(np.nanmean(made.area[kind])),
            made.scope[_largest_first(gains[kind])],
        )
        for kind in gains
    ]


def _largest_first(gains: NDArray[np.float64]) -> NDArray[np.int64]:
    known = np.flatnonzero(np.isfinite(gains))
    return known[np.argsort(-gains[known], kind="stable")]


def severity_of(one: InArtefact) -> Severity:
    """Return how worrying it is that maps lie inside an artefact."""
    if not one.gain.sure or one.gain.value < WORTH_A_LOOK:
        return Severity.OK
    return Severity.CRITICAL if one.mass >= HALF else Severity.WARNING


def findings_of(context: AuditContext, found: list[InArtefact], method: str) -> list[Finding]:
    """Return one finding per artefact that matters, one for the others, one for those with too few images."""
    least = context.options.least_n
    enough = [one for one in found if one.gain.n >= least]
    loud = sorted((o for o in enough if severity_of(o) is not Severity.OK), key=lambda one: -one.gain.value)
    quiet = [one for one in enough if severity_of(one) is Severity.OK]
    few = [one for one in found if one.gain.n < least]
    findings = [_loud(context, one, method) for one in loud]
    if quiet:
        most = max(quiet, key=lambda one: one.gain.value)
        findings.append(_one(context, most, Severity.OK, _quiet_words(quiet, most, method)))
    if few:
        names = upper_first(listed([artefact_words(one.kind) for one in few]))
        n = max(one.gain.n for one in few)
        message = (
            f"How much of the map lies in {names[:1].lower()}{names[1:]}: not established, {n} of the {least} images."
        )
        findings.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=n))
    return findings


def _quiet_words(quiet: list[InArtefact], most: InArtefact, method: str) -> str:
    names = listed([artefact_words(one.kind) for one in quiet])
    return (
        f"No more of the {method} map lies in {names} than if it were shifted elsewhere, or less than "
        f"{percent(WORTH_A_LOOK)} "
        f"more; at most {most.gain.value:+.2f} ({interval_words(most.gain.low, most.gain.high)})."
    )


def _loud(context: AuditContext, one: InArtefact, method: str) -> Finding:
    message = (
        f"{percent(one.mass)} of the {method} map's mass lies in {artefact_words(one.kind)}, "
        f"{percent(one.shifted)} if the map is "
        f"shifted elsewhere: {one.gain.value:.2f} more ({interval_words(one.gain.low, one.gain.high)})."
    )
    return _one(context, one, severity_of(one), message)


def _one(context: AuditContext, one: InArtefact, severity: Severity, message: str) -> Finding:
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=message,
        column=one.kind if severity is not Severity.OK else "",
        effect=one.gain.value,
        effect_name="share of the map inside the artefact, less that of shifted maps",
        ci_low=one.gain.low,
        ci_high=one.gain.high,
        n=one.gain.n,
        cases=context.ids(one.rows, N_CASES),
        n_cases=len(one.rows),
    )


def _table(context: AuditContext, found: list[InArtefact]) -> Table:
    titles = {
        "artefact": "Artefact",
        "mass": "Share of the map inside",
        "shifted": "shifted",
        "area": "Share of the view",
    }
    titles |= {"gain": "Difference", "low": "95 % from", "high": "to", "p": "p (Holm)", "n": "Images"}
    rows = (
        (one.kind, one.mass, one.shifted, one.area, one.gain.value, one.gain.low, one.gain.high, one.gain.p, one.gain.n)
        for one in found
    )
    return Table(
        key="artefacts",
        title="How much of the maps lies in artefacts",
        columns=tuple(Column(key=key, title=title) for key, title in titles.items()),
        rows=tuple(rows),
        cases=tuple(context.ids(one.rows, N_CASES) for one in found),
    )


def _chart(context: AuditContext, found: list[InArtefact]) -> Chart:
    least = context.options.least_n
    marks = tuple(
        Mark(
            x=one.gain.value,
            y=one.kind.replace("_", " "),
            low=one.gain.low,
            high=one.gain.high,
            n=one.gain.n,
            severity=severity_of(one) if one.gain.n >= least else Severity.UNKNOWN,
            cases=context.ids(one.rows, N_CASES),
        )
        for one in sorted(found, key=lambda one: -one.gain.value)
    )
    return Chart(
        key="artefacts",
        title="Share of the map inside artefacts, less that of shifted maps",
        kind="interval",
        series=(Series(marks=marks),),
        x_title="difference in share",
        reference=0.0,
    )


CHECK = Check(
    "map_in_artefact",
    "Maps inside artefacts",
    "Does the score depend on places where artefacts are?",
    run,
)
