"""The part of a report that says what was seen: measurements, descriptors, outlines, slices."""

from __future__ import annotations

import numpy as np

from whycad import wording
from whycad.manifest import Manifest
from whycad.reference import range_label
from whycad.rendering import OUTLINE_COLOURS, data_uri, outlined, shown_slice
from whycad.types import AnalysisResult, JsonObject, SliceProfile, Study

CHART_WIDTH, CHART_HEIGHT = 600, 80
CONCEPT_NOTE = "What the model expects radiologists to rate; not a rating by anyone."
ARGUMENT_NOTE = (
    "Each measurement is compared by itself with calibration cases; together they do not make up the probability."
)
OUTLINE_NOTE = "Drawn by the model, not by a reader."


def evidence_context(result: AnalysisResult, study: Study, manifest: Manifest) -> JsonObject | None:
    """Return what the template shows of the evidence; None where there is none.

    Raises
    ------
    GeometryError
        When an outline does not fit the study.
    """
    if not (result.measurements or result.concepts or result.segmentations):
        return None
    usual = wording.cases_of(range_label(manifest), manifest)
    return {
        "measurements": [
            (*wording.measurement_words(item, usual), wording.places_words(item.percentiles, manifest))
            for item in result.measurements
        ],
        "concepts": [
            {
                "name": wording.concept_words(item)[0],
                "text": wording.concept_words(item)[1],
                "question": wording.printable(item.question, 200),
                "places": wording.places_words(item.percentiles, manifest),
                "readers": wording.readers_words(item, manifest),
                "bars": [
                    {"level": wording.printable(level, 40), "width": f"{100 * p:.1f}", "share": wording.percent(p)}
                    for level, p in zip(item.levels, item.probabilities, strict=True)
                ],
            }
            for item in result.concepts
        ],
        "concept_note": CONCEPT_NOTE,
        "outline": _outline(result, study),
    }


def argument_context(result: AnalysisResult, manifest: Manifest) -> JsonObject | None:
    """Return what the template shows of the line of argument; None where there is none."""
    if not result.findings:
        return None
    leading = manifest.label(result.prediction.predicted).name
    conflicts = [item for item in result.findings if item.source == "conflict"]
    others = [item for item in result.findings if item.source != "conflict"]
    groups = (
        ("Map and measurements", conflicts),
        (f"For {leading}", [item for item in others if item.speaks_for]),
        (f"Against {leading}", [item for item in others if not item.speaks_for]),
    )
    return {
        "note": ARGUMENT_NOTE,
        "groups": [(title, [wording.printable(f.sentence, 400) for f in found]) for title, found in groups if found],
    }


def _outline(result: AnalysisResult, study: Study) -> JsonObject | None:
    if not result.segmentations:
        return None
    index = shown_slice(study, result)
    named = [
        f"{wording.printable(item.name, 40)} in {OUTLINE_COLOURS[number % len(OUTLINE_COLOURS)][0]}"
        f" ({wording.printable(item.method, 80)})"
        for number, item in enumerate(result.segmentations)
    ]
    place = "" if index is None else f", slice {index + 1} of {len(study.pixels)}"
    return {
        "uri": data_uri(outlined(study, result.segmentations, index=index)),
        "alt": f"Outlines over the image{place}: {'; '.join(named)}",
        "note": OUTLINE_NOTE,
    }


def profile_context(result: AnalysisResult, manifest: Manifest) -> JsonObject | None:
    """Return what the template shows of a volume's slices; None for a single image."""
    profile = result.profile
    if profile is None:
        return None
    column = _charted(profile, manifest)
    n = len(profile.decisions)
    width = CHART_WIDTH / n
    bars = []
    for i, value in enumerate(profile.probabilities[:, column]):
        share = float(value) if np.isfinite(value) else 1.0
        bars.append(
            {
                "x": f"{i * width:.2f}",
                "y": f"{CHART_HEIGHT * (1 - share):.2f}",
                "width": f"{max(0.5, 0.9 * width):.2f}",
                "height": f"{max(1.0, CHART_HEIGHT * share):.2f}",
                "kind": profile.decisions[i],
                "shown": i == profile.shown,
            }
        )
    name = manifest.labels[column].name
    return {
        "words": wording.profile_words(profile),
        "alt": f"Probability of {name} along the {n} slices, first slice on the left",
        "name": name,
        "bars": bars,
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
    }


def _charted(profile: SliceProfile, manifest: Manifest) -> int:
    """Return the column of the label that must not be missed, the one that is most probable anywhere."""
    marked = [i for i, label in enumerate(manifest.labels) if label.must_not_miss] or list(range(len(manifest.labels)))
    if not np.isfinite(profile.probabilities).any():
        return marked[0]
    return marked[int(np.argmax(np.nanmax(profile.probabilities[:, marked], axis=0)))]
