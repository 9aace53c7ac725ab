"""Whether some images' maps look at the same wrong thing: groups of maps over the data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycad.audit.change_stats import interval_words
from whycad.audit.changes.asking import sampled
from whycad.audit.changes.cluster_links import BORDER_AREA, Border, Link, border_of, features_of, links_of
from whycad.audit.changes.pictures import enlarged, save_picture
from whycad.audit.changes.words import simulated_note, too_few
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.checks.map_in_artefact import make_maps
from whycad.audit.context import AuditContext
from whycad.audit.findings import (
    Chart,
    CheckResult,
    Column,
    Finding,
    Mark,
    Picture,
    Series,
    Severity,
    Table,
)
from whycad.audit.map_clusters import Clusters, cluster_maps
from whycad.audit.run.maps import MapsMade, cheapest_method
from whycad.wording import method_name

FEWEST_MAPS = 10
N_CASES = 12
METHOD = (
    "Spectral relevance analysis: maps of the predicted label by the task's quickest gradient method, positive part, "
    "summed into 16 x 16 cells; a graph joins each map with the nearest quarter of the others, and its eigenvalues say "
    "how many groups there are and which (normalised Laplacian, largest gap, k-means). Groups are compared with found "
    "artefacts, metadata and wrong answers by odds ratios (Haldane's correction) with 95 % bootstrap intervals over "
    "groups of images and Fisher's exact test, Holm's correction over all pairs; and by their share of mass in the outer "
    "eighth of each side. A group may differ for good reasons, such as the label: look at its images. No map is a "
    "localisation."
)
REFERENCES = (
    "Lapuschkin 2019, Unmasking Clever Hans predictors, doi:10.1038/s41467-019-08987-4",
    "Anders 2022, Finding and removing Clever Hans, doi:10.1016/j.inffus.2021.07.015",
)


def run(context: AuditContext) -> CheckResult:
    """Make maps, group them, and look for what goes with the groups."""
    scope = sampled(context, context.options.n_explained)
    method = cheapest_method(context.manifest)
    made = make_maps(context, scope, method)
    known = np.isfinite(made.maps).all(axis=(1, 2))
    rows, maps = scope[known], made.maps[known]
    if len(rows) < FEWEST_MAPS:
        raise CheckSkippedError(f"{len(rows)} images got a map; groups need {FEWEST_MAPS}")
    clusters = cluster_maps(maps, context.options.seed)
    links = links_of(context, rows, clusters, features_of(context, rows, _kinds_there(made, known)))
    borders = [border_of(context, rows, maps, clusters, number) for number in range(clusters.n)]
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=f"{METHOD} Method: {method_name(method)}.",
        references=REFERENCES,
        findings=tuple(_findings(context, rows, clusters, links, borders)),
        tables=(_clusters_table(context, rows, clusters, borders), _links_table(links)),
        charts=_charts(context, rows, clusters),
        pictures=_pictures(context, rows, maps, clusters),
        note=simulated_note(context),
    )


def _kinds_there(made: MapsMade, known: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    return {kind: np.isfinite(values[known]) for kind, values in made.mass.items()}


def _findings(
    context: AuditContext, rows: NDArray[np.int64], clusters: Clusters, links: list[Link], borders: list[Border]
) -> list[Finding]:
    least = context.options.least_n
    if len(rows) < least:
        return [too_few(CHECK, "Groups of maps", len(rows), least)]
    findings = [_link_finding(context, rows, clusters, link) for link in links if link.severity is not Severity.OK]
    findings += [_border_finding(context, rows, clusters, one) for one in borders if one.severity is not Severity.OK]
    findings.sort(key=lambda one: one.severity is not Severity.CRITICAL)
    if findings:
        return findings
    groups = f"{len(rows)} maps fall into {clusters.n} groups" if clusters.n > 1 else f"{len(rows)} maps form one group"
    most = max(borders, key=lambda one: one.share.value)
    message = (
        f"{groups}; none lies at the image's border or goes with an artefact, a metadata column or wrong answers beyond "
        f"chance. The largest share at the border is {most.share.value:.0%} "
        f"({interval_words(most.share.low, most.share.high)}), of an area of {BORDER_AREA:.0%}."
    )
    return [
        Finding(
            check=CHECK.id,
            severity=Severity.OK,
            message=message,
            effect=most.share.value,
            effect_name="share of the map at the border",
            no_effect=BORDER_AREA,
            ci_low=most.share.low,
            ci_high=most.share.high,
            n=len(rows),
        )
    ]


def _cases(context: AuditContext, rows: NDArray[np.int64], clusters: Clusters, number: int) -> tuple[str, ...]:
    return context.ids(rows[clusters.members(number)], N_CASES)


def _link_finding(context: AuditContext, rows: NDArray[np.int64], clusters: Clusters, link: Link) -> Finding:
    inside, outside = link.shares
    return Finding(
        check=CHECK.id,
        severity=link.severity,
        message=f"A group of {link.size} maps that look at the same places goes with {link.words}: {inside:.0%} of its "
        f"images against {outside:.0%} of the others (odds ratio {link.odds:.1f}, "
        f"{interval_words(link.low, link.high, 1)}).",
        column=link.column,
        effect=link.odds,
        effect_name="odds ratio",
        no_effect=1.0,
        ci_low=link.low,
        ci_high=link.high,
        n=len(rows),
        cases=_cases(context, rows, clusters, link.cluster),
        n_cases=link.size,
    )


def _border_finding(context: AuditContext, rows: NDArray[np.int64], clusters: Clusters, one: Border) -> Finding:
    return Finding(
        check=CHECK.id,
        severity=one.severity,
        message=f"A group of {one.size} maps lies at the image's border: {one.share.value:.0%} of their mass "
        f"({interval_words(one.share.low, one.share.high)}), of an area of {BORDER_AREA:.0%}.",
        column="border",
        effect=one.share.value,
        effect_name="share of the map at the border",
        no_effect=BORDER_AREA,
        ci_low=one.share.low,
        ci_high=one.share.high,
        n=one.size,
        cases=_cases(context, rows, clusters, one.cluster),
        n_cases=one.size,
    )


def _clusters_table(
    context: AuditContext, rows: NDArray[np.int64], clusters: Clusters, borders: list[Border]
) -> Table:
    answers = context.answers
    codes = answers.codes
    lines = []
    for one in borders:
        own = rows[clusters.members(one.cluster)]
        label, predicted = answers.label[own], answers.predicted[own]
        judged = label >= 0
        wrong = float((label != predicted)[judged].mean()) if judged.any() else None
        counts = [int((label == place).sum()) for place in range(len(codes))]
        lines.append((one.cluster + 1, one.size, one.share.value, one.share.low, one.share.high, wrong, *counts))
    titles = {"group": "Group", "n": "Images", "border": "Share at the border", "low": "95 % from", "high": "to"}
    titles |= {"wrong": "Wrong answers"} | {f"label_{code}": code for code in codes}
    return Table(
        key="groups",
        title="Groups of maps",
        columns=tuple(Column(key=key, title=title) for key, title in titles.items()),
        rows=tuple(lines),
        cases=tuple(_cases(context, rows, clusters, one.cluster) for one in borders),
    )


def _links_table(links: list[Link]) -> Table:
    titles = {"group": "Group", "column": "What", "inside": "Share in the group", "outside": "Share of the others"}
    titles |= {"odds": "Odds ratio", "low": "95 % from", "high": "to", "p": "p (Holm)"}
    return Table(
        key="links",
        title="What goes with the groups",
        columns=tuple(Column(key=key, title=title, decimals=4 if key == "p" else 3) for key, title in titles.items()),
        rows=tuple((one.cluster + 1, one.words, *one.shares, one.odds, one.low, one.high, one.p) for one in links),
    )


def _charts(context: AuditContext, rows: NDArray[np.int64], clusters: Clusters) -> tuple[Chart, ...]:
    ids = context.in_scope.ids[rows]
    series = tuple(
        Series(
            name=f"group {number + 1}",
            marks=tuple(
                Mark(x=float(x), y=float(y), cases=(str(case),))
                for (x, y), case in zip(clusters.places[own], ids[own], strict=True)
            ),
        )
        for number in range(clusters.n)
        for own in [clusters.members(number)]
    )
    values = tuple(Mark(x=i + 1, y=float(value)) for i, value in enumerate(clusters.eigenvalues))
    return (
        Chart(
            key="maps",
            title="Maps by likeness, coloured by group",
            kind="scatter",
            series=series,
            x_title="first principal component",
            y_title="second",
        ),
        Chart(
            key="eigenvalues",
            title="Eigenvalues: a gap after the first few means so many groups",
            kind="line",
            series=(Series(marks=values),),
            x_title="number",
            y_title="eigenvalue",
        ),
    )


def _pictures(
    context: AuditContext, rows: NDArray[np.int64], maps: NDArray[np.float64], clusters: Clusters
) -> tuple[Picture, ...]:
    """Write every group's mean map, white where most of the mass is."""
    found = []
    for number in range(clusters.n):
        own = clusters.members(number)
        mean = maps[own].mean(axis=0)
        grey = np.asarray(np.rint(255 * mean / max(float(mean.max()), 1e-12)), np.uint8)
        caption = f"Mean map of group {number + 1}, {int(own.sum())} images, 16 x 16 cells, white is most"
        case = str(context.in_scope.ids[rows[own][0]])
        found.append(save_picture(context, CHECK.id, f"group-{number + 1}", enlarged(grey), caption, case))
    return tuple(found)


CHECK = Check(
    "attribution_cluster",
    "Groups of maps",
    "Do some images' maps look at the same wrong thing?",
    run,
)
