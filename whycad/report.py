"""One analysed case as one HTML file: no script, no network, nothing of the patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from whycad import wording
from whycad.manifest import Manifest
from whycad.performance import NOTHING, Performance
from whycad.rendering import base_picture, data_uri, overlay, shown_slice
from whycad.report_evidence import argument_context, evidence_context, profile_context
from whycad.targets import target_name
from whycad.types import AnalysisResult, Attribution, Fidelity, JsonObject, Prediction, Study, TaskKind
from whycad.uncertainty.words import set_sentence

TEMPLATES = Path(__file__).parent / "templates"
SIGNED_LEGEND = "red speaks for the label, blue against it"
UNSIGNED_LEGEND = "yellow mattered most"


@dataclass(frozen=True, eq=False)
class ReportContent:
    """What a report is made of.

    Attributes
    ----------
    result : AnalysisResult
    study : Study
        The image that was analysed; its pixels are drawn into the report.
    manifest : Manifest
        Of the plugin that made the result.
    performance : Performance
        The plugin's stored figures; empty where there are none.
    coverage : float or None
        Level of the set to print; that of the request where None.
    """

    result: AnalysisResult
    study: Study
    manifest: Manifest
    performance: Performance = field(default=NOTHING)
    coverage: float | None = None


def html_report(content: ReportContent) -> str:
    """Return a whole HTML page that stands alone.

    Every value is escaped; images are ``data:`` addresses with alternative text.

    Raises
    ------
    GeometryError
        When a map does not fit the study.
    """
    result, manifest = content.result, content.manifest
    decision = result.prediction.decision
    index = shown_slice(content.study, result)
    context: JsonObject = {
        "notice": wording.NOTICE,
        "banners": _banners(result),
        "title": manifest.title,
        "intended_use": manifest.intended_use,
        "headline": wording.decision_headline(decision.kind),
        "kind": decision.kind.value,
        "reasons": [wording.printable(reason, 400) for reason in decision.reasons],
        "answer": _answer(content) if wording.shows_answer(result) else None,
        "image": {"uri": data_uri(base_picture(content.study, index)), "alt": image_alt(content.study, index)},
        "profile": profile_context(result, manifest),
        "argument": argument_context(result, manifest) if wording.shows_answer(result) else None,
        "evidence": evidence_context(result, content.study, manifest),
        "maps": [_map(content, attribution, index) for attribution in result.attributions],
        "facts": [wording.metadata_words(name, value) for name, value in sorted(result.metadata.items())],
        "warnings": [wording.printable(text, 400) for text in result.warnings if text != wording.GATE_BYPASSED],
        "provenance": provenance_rows(result),
    }
    return _environment().get_template("report.html.j2").render(context)


def _banners(result: AnalysisResult) -> list[str]:
    """Return what must stand above everything: that data are simulated, that a gate was bypassed."""
    bypassed = [wording.GATE_BYPASSED] if wording.GATE_BYPASSED in result.warnings else []
    return [*([wording.SIMULATED] if result.simulated else []), *bypassed]


def provenance_rows(result: AnalysisResult) -> list[tuple[str, str]]:
    """Return where a result came from, as names and values."""
    p = result.provenance
    request = result.request
    return [
        ("Image, SHA-256", result.study_sha256),
        ("Image, pixels", " x ".join(str(side) for side in result.source_shape)),
        ("Task", f"{p.plugin_id} {p.plugin_version}"),
        ("Training data", {"real": "real images", "simulated": "simulated images"}[p.evidence_level.value]),
        ("Weights, SHA-256", p.weights_sha256),
        ("Calibrated on", p.calibration_set or wording.NOT_ESTABLISHED),
        ("WhyCAD", p.code_version),
        ("Device", f"{p.device}, {p.precision}"),
        ("Seed", str(p.seed)),
        ("Nominal coverage of the set", f"{100 * request.coverage:.0f} %"),
        ("Made (UTC)", p.created_utc),
        *(("Note", wording.printable(note, 300)) for note in p.notes),
    ]


def fidelity_text(fidelity: Fidelity) -> str:
    """Say how far a map can be trusted, as far as that was measured."""
    parts = []
    if fidelity.convergence_delta is not None:
        parts.append(f"convergence error {100 * abs(fidelity.convergence_delta):.1f} %")
    if fidelity.local_r2 is not None:
        parts.append(f"local fit R² {fidelity.local_r2:.2f}")
    if fidelity.mass_inside is not None:
        parts.append(f"{100 * fidelity.mass_inside:.0f} % of the map inside the region")
    if fidelity.n_samples is not None:
        parts.append(f"{fidelity.n_samples:,} model evaluations")
    parts.extend(wording.printable(remark, 300) for remark in fidelity.remarks)
    return "; ".join(parts) or wording.NOT_ESTABLISHED


def image_alt(study: Study, index: int | None = None) -> str:
    """Describe a study's picture in words; of a volume, the picture is of slice ``index``."""
    shape = " by ".join(str(side) for side in study.spatial_shape[-2:])
    text = f"{'Simulated image' if study.simulated else 'Image'} of {shape} pixels, rows first"
    if len(study.spatial_shape) == 2:
        return text
    n = len(study.pixels)
    return f"{text}; {f'slice {index + 1} of {n}' if index is not None else f'a volume of {n} slices'}"


def map_alt(attribution: Attribution, name: str) -> str:
    """Describe a map in words: what it explains, and where its strongest point is."""
    *slices, row, column = (int(i) for i in np.unravel_index(int(attribution.map.argmax()), attribution.map.shape))
    height, width = attribution.map.shape[-2:]
    vertical = ("upper", "middle", "lower")[min(2, 3 * row // height)]
    horizontal = ("left", "centre", "right")[min(2, 3 * column // width)]
    place = f"{vertical} {horizontal}" + (f" of slice {slices[0] + 1}" if slices else "")
    legend = SIGNED_LEGEND if attribution.signed else UNSIGNED_LEGEND
    method = wording.method_name(attribution.method)
    return f"{method} map for {name}; strongest in the {place}; {legend}"


def _answer(content: ReportContent) -> JsonObject:
    result, manifest, performance = content.result, content.manifest, content.performance
    prediction = result.prediction
    coverage = content.coverage or prediction.coverage
    code = prediction.predicted
    codes = wording.set_at(prediction, coverage, manifest.kind)
    return {
        "label": manifest.label(code).name,
        "long_name": manifest.label(code).long_name,
        "probability": wording.percent(prediction.probability(code)),
        "members": wording.members_text(prediction, code),
        "rule": wording.leading_reason(result, manifest),
        "uncertainty": wording.uncertainty_sentence(prediction),
        "rows": [
            (f"{100 * coverage:.0f} % set", wording.names(codes, manifest)),
            ("What the set says", set_sentence(codes, manifest, coverage)),
            *_stage(prediction, manifest),
            ("The image is ambiguous", _share(*wording.ambiguity(prediction))),
            ("The members disagree", _share(*wording.disagreement(prediction))),
            ("Like the training images", wording.likeness_text(prediction)),
            (f"Training images of {manifest.label(code).name}", wording.training_count(code, performance)),
            ("Found when present", wording.share_with_interval(performance.per_class.get(code))),
            *_points(prediction, performance),
        ],
        "labels": [_label_row(prediction, label, content) for label in wording.ranked(prediction)],
    }


def _stage(prediction: Prediction, manifest: Manifest) -> list[tuple[str, str]]:
    ordinal = manifest.kind is TaskKind.ORDINAL
    return [("Expected stage", wording.expected_stage(prediction, manifest))] if ordinal else []


def _share(share: float, word: str) -> str:
    return f"{word}, {share:.2f} of 1"


def _points(prediction: Prediction, performance: Performance) -> list[tuple[str, str]]:
    rows = []
    for name, (score, threshold) in prediction.operating_points.items():
        side = "above" if score >= threshold else "below"
        text = f"{wording.percent(score)}, {side} the threshold of {wording.percent(threshold)}"
        figures = performance.operating_points.get(name)
        if figures is not None:
            text += f" (sensitivity {100 * figures.sensitivity:.0f} %, specificity {100 * figures.specificity:.0f} %)"
        rows.append((name.replace("_", " ").capitalize(), text))
    return rows


def _label_row(prediction: Prediction, code: str, content: ReportContent) -> JsonObject:
    probability = prediction.probability(code)
    return {
        "name": content.manifest.label(code).name,
        "probability": wording.percent(probability),
        "width": f"{100 * probability:.1f}",
        "members": wording.members_text(prediction, code),
        "in_set": code in wording.set_at(prediction, content.coverage or prediction.coverage, content.manifest.kind),
    }


def _map(content: ReportContent, attribution: Attribution, index: int | None) -> JsonObject:
    name = target_name(attribution.target, content.manifest)
    return {
        "uri": data_uri(overlay(content.study, attribution, index=index)),
        "alt": map_alt(attribution, name),
        "method": wording.method_name(attribution.method),
        "target": name,
        "legend": SIGNED_LEGEND if attribution.signed else UNSIGNED_LEGEND,
        "fidelity": _graded(attribution.fidelity) + fidelity_text(attribution.fidelity),
        "parameters": [(k, wording.printable(v, 80)) for k, v in sorted(attribution.parameters.items())],
        "seed": attribution.seed,
    }


def _graded(fidelity: Fidelity) -> str:
    return f"grade {fidelity.grade}; " if fidelity.grade else ""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
