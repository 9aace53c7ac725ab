"""Uncertainty in a clinician's words; every sentence stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whycad.manifest import Manifest
from whycad.types import TaskKind
from whycad.uncertainty.ood import SCORES

GATE_SENTENCES: Mapping[str, str] = {
    "distance": "Its features lie far from those of the calibration images.",
    "residual": "It shows patterns that the calibration images do not have.",
    "class_distance": "It is unlike the calibration images of every single diagnosis.",
    "neighbours": "No calibration image resembles it closely.",
    "energy": "The model finds little in it that it knows.",
    "strange": "The task's own test of what is normal finds it unusual.",
}
SETS_STAY = (
    "The set does not change with the prevalence: it promises, for each diagnosis alone, to hold that diagnosis "
    "in the stated share of the patients who have it, however many those are."
)
PARTS: Mapping[str, str] = {
    "total": "How open the answer is in all.",
    "aleatoric": "The image itself is ambiguous: every member finds it hard, and more training would not help much.",
    "epistemic": "The members disagree: they learned too little of such images to settle it.",
}
NOTABLE_AMBIGUITY, NOTABLE_DISAGREEMENT = 0.2, 90.0


def gate_sentence(method: str) -> str:
    """Say what is strange, from ``OutOfDistribution.method``; empty for an unknown score."""
    return next((GATE_SENTENCES[name] for name, title in SCORES.items() if title == method), "")


def stranger_than(percentile: float) -> str:
    """Return ``stranger than 98 % of the calibration images``, or ``than all``."""
    share = f"{min(percentile, 99.0):.0f} % of" if percentile < 99.5 else "all"
    return f"stranger than {share} the calibration images"


def doubt_words(aleatoric_share: float, epistemic_percentile: float) -> str:
    """Say in a few words where the doubt comes from.

    Parameters
    ----------
    aleatoric_share : float
        Of the largest possible entropy, 0..1.
    epistemic_percentile : float
        Share (0..100) of calibration cases on which the members disagree less.
    """
    ambiguous, disputed = aleatoric_share >= NOTABLE_AMBIGUITY, epistemic_percentile >= NOTABLE_DISAGREEMENT
    if ambiguous and disputed:
        return "the image itself is ambiguous, and the members disagree"
    if disputed:
        return "the members disagree"
    return "the image itself is ambiguous" if ambiguous else "clear to every member"


def set_sentence(codes: Sequence[str], manifest: Manifest, coverage: float) -> str:
    """Say what a conformal set means.

    Parameters
    ----------
    codes : sequence of str
        The set.
    manifest : Manifest
    coverage : float
        Its level, such as 0.9.
    """
    names = [manifest.label(code).name for code in codes]
    level = f"{100 * coverage:g} %"
    if manifest.kind is TaskKind.BINARY and len(codes) != 1:
        return _binary_sentence(len(codes), level)
    if manifest.kind is TaskKind.ORDINAL and len(codes) > 1:
        return f"{names[0]} to {names[-1]}: no stage of this run can be ruled out at {level}."
    if len(codes) == 1:
        return f"{names[0]} alone: everything else is ruled out at {level}."
    if not codes:
        return "There is no set: the image was not scored."
    return f"{', '.join(names)}: none of these can be ruled out at {level}."


def _binary_sentence(size: int, level: str) -> str:
    if size == 2:
        return f"Both: neither answer can be ruled out at {level}. The image does not settle the question."
    return (
        f"Neither: the image fits neither answer as {level} of their own calibration images do. "
        "It may show something else."
    )
