"""From measures to a plain grade with its reasons.

A grade never gets worse when a measure gets better, and what was not measured does not count. The
order of the tests is that of their weight: what fails a map comes first.
"""

from __future__ import annotations

from collections.abc import Iterator

from whycad.map_grades import Thresholds
from whycad.types import Fidelity

A, B, C, FAILS = "A", "B", "C", "fails"
GRADES = (A, B, C, FAILS)
# Differences below this are rounding: a map in the edge detector's own order gains nothing over it.
NOTHING_GAINED = 1e-6


def graded(fidelity: Fidelity, thresholds: Thresholds, name: str) -> tuple[str, tuple[str, ...]]:
    """Return a map's grade and its reasons.

    Parameters
    ----------
    fidelity : Fidelity
        Measured, see ``whycad.explain.fidelity.case``.
    thresholds : Thresholds
    name : str
        The target for the reader, such as ``melanoma``.

    Returns
    -------
    grade : {"A", "B", "C", "fails", ""}
        Empty where neither curves nor randomisation were measured.
    reasons : tuple of str
        Sentences, the gravest first.
    """
    if fidelity.gain_over_random is None and fidelity.randomised_similarity is None:
        return "", ()
    findings = [
        *_failures(fidelity, thresholds, name),
        *_weak_curves(fidelity, thresholds, name),
        *_weak_repeats(fidelity, thresholds),
        *_weak_by_itself(fidelity, thresholds),
    ]
    if not findings:
        return A, (_praise(fidelity, name),)
    worst = max((grade for grade, _ in findings), key=GRADES.index)
    gravest_first = sorted(findings, key=lambda finding: -GRADES.index(finding[0]))
    return worst, tuple(reason for _, reason in gravest_first)


def better(first: str, second: str) -> bool:
    """Whether one grade is strictly better than another."""
    return GRADES.index(first) < GRADES.index(second)


Finding = tuple[str, str]


def _failures(f: Fidelity, t: Thresholds, name: str) -> Iterator[Finding]:
    if f.span is not None and f.span < t.least_span:
        yield FAILS, f"Hiding parts of the image hardly changes the score of {name}, so no map of it can be tested."
    elif f.gain_over_random is not None and f.gain_over_random <= NOTHING_GAINED:
        yield FAILS, f"Hiding what the map marks lowers {name} no faster than hiding random places."
    elif f.gain_over_edges is not None and f.gain_over_edges <= NOTHING_GAINED:
        yield FAILS, f"Hiding what the map marks lowers {name} no faster than hiding edges."
    if f.randomised_similarity is not None and f.randomised_similarity >= t.most_similar:
        yield FAILS, "The map hardly changes when the model's weights are replaced by random ones."


def _weak_curves(f: Fidelity, t: Thresholds, name: str) -> Iterator[Finding]:
    gain = f.gain_over_random
    if gain is None or gain <= NOTHING_GAINED:
        return
    if gain < t.fair_gain:
        yield C, f"{_faster(name)}, but maps of other images often do as well."
    elif gain < t.good_gain:
        yield B, f"{_faster(name)}, but a map of another image can do as well."


def _faster(name: str) -> str:
    return f"Hiding what the map marks lowers {name} faster than hiding random places"


def _weak_repeats(f: Fidelity, t: Thresholds) -> Iterator[Finding]:
    if f.stability is None:
        return
    if f.stability < t.fair_stability:
        yield C, "Slight noise in the image or another seed gives quite another map."
    elif f.stability < t.good_stability:
        yield B, "Slight noise in the image or another seed changes the map somewhat."


def _weak_by_itself(f: Fidelity, t: Thresholds) -> Iterator[Finding]:
    if f.mass_inside is not None and f.mass_shifted is not None and f.mass_inside <= f.mass_shifted:
        yield B, f"No more of the map lies inside the {f.inside_of or 'outline'} than if it were shifted elsewhere."
    delta = None if f.convergence_delta is None else abs(f.convergence_delta)
    if delta is not None and delta > t.good_delta:
        yield (C if delta > t.fair_delta else B), "The map does not add up to the change in the model's output."
    if f.local_r2 is not None and f.local_r2 < t.good_r2:
        yield B, "The simple model behind the map follows the network poorly."


def _praise(f: Fidelity, name: str) -> str:
    parts = []
    if f.gain_over_random is not None:
        parts.append(f"hiding what the map marks lowers {name} faster than hiding random places or edges")
    if f.randomised_similarity is not None:
        parts.append("the map changes when the model's weights are replaced by random ones")
    text = ", and ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
