"""Numbers in the reader's words; the app and the written report say the same."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

from whycad.manifest import Manifest
from whycad.method_files import method_files
from whycad.performance import ClassFigures, Performance
from whycad.types import (
    AnalysisResult,
    Concept,
    DecisionKind,
    Measurement,
    MetadataValue,
    Prediction,
    SliceProfile,
    TaskKind,
)
from whycad.uncertainty.conformal import sets_at
from whycad.uncertainty.words import gate_sentence

MINUS = "\N{MINUS SIGN}"
NOTICE = "Research and education only, not for clinical use"
SIMULATED = "Simulated: this image or the model's training data was made by a program, not taken from a patient."
GATE_BYPASSED = "Simulated, gate bypassed for demonstration: a real image like this one would get no answer."
NOT_ESTABLISHED = "not established"
METHOD_NAMES = {
    "gradcam": "Grad-CAM",
    "gradcam_pp": "Grad-CAM++",
    "ig": "Integrated gradients",
    "gradient_shap": "GradientSHAP",
    "smoothgrad": "SmoothGrad",
    "input_x_gradient": "Input x gradient",
    "occlusion": "Occlusion",
    "lime": "LIME",
    "kernel_shap": "KernelSHAP",
    "rise": "RISE",
}
SITES = ("site", "body_part", "anatomic_site")

Level = Literal["low", "moderate", "high"]
# Shares of the largest possible entropy, ln k. They only choose a word; no decision depends on them.
AMBIGUITY_LEVELS = (0.20, 0.50)
DISAGREEMENT_LEVELS = (0.03, 0.10)


def method_name(method: str) -> str:
    """Return a method's name for the reader."""
    known = method_files().get(method)
    return METHOD_NAMES.get(method) or (known.name if known is not None else method)


def percent(value: float) -> str:
    """Return a share as ``71 %``; one decimal below 10 %, never a bare 0 or 100 for what is neither."""
    if not math.isfinite(value):
        return "no score"
    number = 100 * value
    if 0 < number < 0.1:
        return "< 0.1 %"
    if 99.9 < number < 100:
        return "> 99.9 %"
    digits = 1 if number < 10 or number > 99 else 0
    text = f"{number:.{digits}f}"
    return f"{text.removesuffix('.0')} %"


def share_with_interval(figures: ClassFigures | None) -> str:
    """Return ``74 % (62 to 84)``, or that it is not established."""
    if figures is None or not figures.established or figures.sensitivity is None or figures.interval is None:
        few = "" if figures is None else f" ({figures.n} cases)"
        return f"{NOT_ESTABLISHED}{few}"
    low, high = figures.interval
    return f"{100 * figures.sensitivity:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def has_score(prediction: Prediction) -> bool:
    """Whether the model gave numbers at all."""
    return bool(prediction.predicted) and all(math.isfinite(p) for p in prediction.probabilities)


def shows_answer(result: AnalysisResult) -> bool:
    """Whether a label and its probability may be shown as the answer.

    Not where the case was refused, although numbers exist; a simulated sample that got past the
    gate is shown under its banner.
    """
    refused = result.prediction.decision.kind is DecisionKind.REJECT
    return has_score(result.prediction) and (not refused or GATE_BYPASSED in result.warnings)


def decision_headline(kind: DecisionKind) -> str:
    """Return what the reader is told to do."""
    return {
        DecisionKind.REPORT: "No reason found to refer",
        DecisionKind.REFER: "Refer to a specialist",
        DecisionKind.REJECT: "No answer for this image",
    }[kind]


def _level(share: float, bounds: tuple[float, float]) -> Level:
    if share < bounds[0]:
        return "low"
    return "moderate" if share < bounds[1] else "high"


def ambiguity(prediction: Prediction) -> tuple[float, Level]:
    """Return the aleatoric share of the largest possible entropy, and a word for it."""
    share = prediction.uncertainty.aleatoric / math.log(len(prediction.labels))
    return share, _level(share, AMBIGUITY_LEVELS)


def disagreement(prediction: Prediction) -> tuple[float, Level]:
    """Return the epistemic share of the largest possible entropy, and a word for it."""
    share = prediction.uncertainty.epistemic / math.log(len(prediction.labels))
    return share, _level(share, DISAGREEMENT_LEVELS)


def uncertainty_sentence(prediction: Prediction) -> str:
    """Say where the uncertainty comes from."""
    ambiguous, disputed = ambiguity(prediction)[1], disagreement(prediction)[1]
    if disputed == "high":
        return "The members disagree: the model has not learned enough to settle this image."
    if ambiguous == "high":
        return "The image is ambiguous: every member finds it hard, and more training would not help much."
    if "moderate" in (ambiguous, disputed):
        return (
            "There is some doubt, most of it from the image itself."
            if ambiguous != "low"
            else ("The members differ a little; the image itself looks clear to them.")
        )
    return "The image looks clear to the model and its members agree. That is not the same as being right."


def member_range(prediction: Prediction, code: str) -> tuple[float, float]:
    """Return the lowest and highest probability that a member gives a label."""
    column = prediction.member_probabilities[:, prediction.labels.index(code)]
    return float(column.min()), float(column.max())


def members_text(prediction: Prediction, code: str) -> str:
    """Return ``members 58 to 80 %``."""
    if len(prediction.member_probabilities) < 2:
        return "one member"
    low, high = member_range(prediction, code)
    return f"members {100 * low:.0f} to {100 * high:.0f} %"


def likeness_text(prediction: Prediction) -> str:
    """Say how like the training images the image is; a high percentile is a strange image."""
    gate = prediction.out_of_distribution
    if gate is None:
        return NOT_ESTABLISHED
    place = f"{_ordinal(round(gate.percentile))} percentile"
    if gate.score <= gate.threshold:
        return f"yes, {place}"
    return f"no, {place}. {gate_sentence(gate.method)}".strip()


def _ordinal(number: int) -> str:
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else last}"


def set_at(prediction: Prediction, coverage: float, kind: TaskKind = TaskKind.MULTICLASS) -> tuple[str, ...]:
    """Return the conformal set at another level, from the stored p-values; give the task's kind."""
    return sets_at(prediction, coverage, kind)


def ranked(prediction: Prediction) -> tuple[str, ...]:
    """Return the label codes from most to least probable."""
    order = sorted(range(len(prediction.labels)), key=lambda i: -float(prediction.probabilities[i]))
    return tuple(prediction.labels[i] for i in order)


def names(codes: Sequence[str], manifest: Manifest) -> str:
    """Return label names joined by commas."""
    return ", ".join(manifest.label(code).name for code in codes) or "none"


def measurement_words(item: Measurement, usual: str = "") -> tuple[str, str]:
    """Return a measurement's name, and ``12.3 mm (usually 4 to 30), from the outline``.

    Parameters
    ----------
    item : Measurement
    usual : str
        The cases whose central range it is, where they are known: ``nevi`` gives ``90 % of nevi: 4 to 30``.
    """
    unit = "" if item.unit in ("", "1") else f" {printable(item.unit, 20)}"
    text = f"{item.value:.3g}{unit}"
    if item.reference_range is not None:
        low, high = item.reference_range
        known = f"90 % of {usual}:" if usual and item.percentiles else "usually"
        text += f" ({known} {low:.3g} to {high:.3g})"
    method = f", {printable(item.method, 120)}" if item.method else ""
    return _title(item.name), text + method


def cases_of(code: str, manifest: Manifest) -> str:
    """Return what cases of a label are called: ``melanomas``, or ``cases of “F2”``."""
    label = manifest.label(code)
    return label.plural or f"cases of “{label.name}”"


def places_words(percentiles: Mapping[str, float], manifest: Manifest) -> str:
    """Say where a value lies among the calibration cases of each label: ``above 12 % of Nevus, 71 % of Melanoma``.

    Labels whose distribution is not established are left out; empty where none is.
    """
    parts = [
        f"{percent(percentiles[label.code] / 100)} of {cases_of(label.code, manifest)}"
        for label in manifest.labels
        if label.code in percentiles
    ]
    return f"above {', '.join(parts)}" if parts else ""


def readers_words(item: Concept, manifest: Manifest) -> str:
    """Return what radiologists rated: ``Benign 1 to 2.3, Suspicious 1 to 5``; empty where unknown."""
    parts = [
        f"{label.name} {item.readers[label.code][0]:.1f} to {item.readers[label.code][1]:.1f}"
        for label in manifest.labels
        if label.code in item.readers
    ]
    return f"radiologists rated {', '.join(parts)} (central 90 %)" if parts else ""


def concept_words(item: Concept) -> tuple[str, str]:
    """Return a descriptor's name, and ``2.4 of 5, most likely "slight" (45 %)``."""
    leading = max(range(len(item.levels)), key=lambda i: item.probabilities[i])
    share = percent(item.probabilities[leading])
    text = f"{item.expected:.1f} of {len(item.levels)}, most likely “{printable(item.levels[leading], 40)}” ({share})"
    return _title(item.name), text


def _title(name: str) -> str:
    text = printable(name.replace("_", " "), 60)
    return text[:1].upper() + text[1:]


def profile_words(profile: SliceProfile) -> str:
    """Say which slice is shown and what the others came to."""
    n = len(profile.decisions)
    counts = {kind: profile.decisions.count(kind) for kind in ("report", "refer", "reject")}
    parts = [
        f"{counts['report']} would be reported",
        f"{counts['refer']} referred",
        f"{counts['reject']} got no answer",
    ]
    return f"Slice {profile.shown + 1} of {n} is shown. Taken alone, of {n} slices {', '.join(parts)}."


def expected_stage(prediction: Prediction, manifest: Manifest) -> str:
    """Return the mean stage of an ordinal task, such as ``1.8, between F1 and F2``."""
    mean = sum(stage * float(p) for stage, p in enumerate(prediction.probabilities))
    names_ = [label.name for label in manifest.labels]
    nearest = round(mean)
    if abs(mean - nearest) < 0.05:
        return f"{mean:.1f}, {names_[nearest]}"
    return f"{mean:.1f}, between {names_[math.floor(mean)]} and {names_[math.ceil(mean)]}"


def training_count(code: str, performance: Performance) -> str:
    """Return ``767 of 6,980``, or that it is not established."""
    if code not in performance.training_counts:
        return NOT_ESTABLISHED
    return f"{performance.training_counts[code]:,} of {performance.training_total:,}"


def leading_reason(result: AnalysisResult, manifest: Manifest) -> str:
    """Say so where the decision rule leads with a label that is not the most probable one."""
    prediction = result.prediction
    if not has_score(prediction):
        return ""
    top = ranked(prediction)[0]
    if top == prediction.predicted:
        return ""
    return (
        f"{manifest.label(top).name} is the most probable, at {percent(prediction.probability(top))}; "
        "the task's rule leads with the rarer diagnosis so that it is not missed."
    )


def printable(text: object, limit: int = 200) -> str:
    """Return one line; control, format and direction characters show as their code points."""
    kept = []
    for character in str(text)[: 4 * limit]:
        if character.isspace():
            kept.append(" ")
        elif unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn"):
            kept.append(f"\\u{ord(character):04x}")
        else:
            kept.append(character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def group_words(field: str, value: str) -> str:
    """Return a subgroup of patients in words: ``female patients``, ``lesions on the back``."""
    return {"sex": f"{value} patients", "site": f"lesions on the {value}"}.get(field, f"patients of {value} years")


def metadata_words(name: str, value: MetadataValue) -> tuple[str, str]:
    """Return a metadata field and its value for the reader."""
    title = {"age_years": "Age", "sex": "Sex", "site": "Body site"}.get(name, name.replace("_", " ").capitalize())
    if name == "age_years" and isinstance(value, int | float):
        return title, f"{value:.0f} years"
    return printable(title, 60), printable(value, 120)
