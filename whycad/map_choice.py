"""Which methods and targets readers are offered, without loading torch."""

from __future__ import annotations

from collections.abc import Sequence

from whycad import wording
from whycad.manifest import Explain, Manifest
from whycad.method_files import method_files
from whycad.targets import Target
from whycad.types import Attribution, Prediction, TaskKind
from whycad.wording import METHOD_NAMES

# Those that read a member's gradient or layer; the others hide parts of the image.
GRADIENT_METHODS = ("gradcam", "gradcam_pp", "ig", "gradient_shap", "smoothgrad", "input_x_gradient")
# Those that fit a linear surrogate to samples, and may stop drawing once its ranking is stable.
SURROGATE_METHODS = ("lime", "kernel_shap")
# The parameter of their maps that says how many samples there could have been.
MOST_SAMPLES = "most_samples"
BY_COST = (
    *("gradcam", "gradcam_pp", "input_x_gradient", "smoothgrad", "gradient_shap", "ig"),
    *("occlusion", "lime", "kernel_shap", "rise"),
)
# Best first; a map without a grade stands between.
GRADES = ("A", "B", "C", "", "fails")


def methods_for_researchers(section: Explain) -> tuple[str, ...]:
    """Return every method that fits a task, those that it offers readers first.

    As ``whycad.explain.fitting_methods``: a method that somebody has added as a file is among them.
    """
    found = method_files()
    ordered = dict.fromkeys((*(m for m in METHOD_NAMES if m in found), *found))
    others = (m for m in ordered if section.gradcam_layer or not found[m].needs_layer)
    return tuple(dict.fromkeys((*section.methods, *(m for m in others if m not in section.unfit))))


def stops_early(attribution: Attribution) -> bool:
    """Whether a map was made with leave to stop drawing samples."""
    return MOST_SAMPLES in attribution.parameters


def cheap_first(methods: Sequence[str]) -> tuple[str, ...]:
    """Return methods in the order in which their maps should be made: those of one pass, of a few, of hundreds."""
    place = {method: number for number, method in enumerate(BY_COST)}
    return tuple(sorted(dict.fromkeys(methods), key=lambda method: place.get(method, len(place))))


def maps_for_clinicians(maps: Sequence[Attribution]) -> tuple[Attribution, ...]:
    """Return the best-graded gradient map and LIME, as far as they are there."""
    gradient = [a for a in maps if a.method in GRADIENT_METHODS]
    best = min(gradient, key=lambda a: GRADES.index(a.fidelity.grade), default=None)
    lime = [a for a in maps if a.method == "lime"]
    return tuple(a for a in (best, *lime) if a is not None)


def targets_on_offer(prediction: Prediction, manifest: Manifest) -> tuple[Target, ...]:
    """Return what maps can be asked about, in the order of a menu.

    The predicted label, the other labels by probability, of an ordinal task every boundary, and where
    labels exclude each other the two likeliest, each rather than the other.
    """
    ranked = wording.ranked(prediction)
    labels = (prediction.predicted, *(code for code in ranked if code != prediction.predicted))
    found = [Target(code) for code in labels]
    if manifest.kind is TaskKind.ORDINAL:
        found += [Target(code, at_least=True) for code in manifest.label_codes[1:]]
    if manifest.kind is not TaskKind.MULTILABEL and len(labels) > 1:
        found += [Target(labels[0], labels[1]), Target(labels[1], labels[0])]
    return tuple(found)
