"""Sentences of the line of argument: numbers put into fixed patterns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from whycad.manifest import Words
from whycad.map_mass import MassInside
from whycad.wording import method_name, percent, printable

FAR = 0.75
WORTH_PLACING = 0.2


@dataclass(frozen=True)
class Subject:
    """What a sentence is about.

    Attributes
    ----------
    text : str
        Name and value, such as ``Border irregularity 0.61``.
    words : Words
        How cases with less and with more are described.
    """

    text: str
    words: Words


@dataclass(frozen=True)
class Place:
    """Where a value lies among the cases of one label.

    Attributes
    ----------
    cases : str
        The cases, such as ``nevi``.
    smaller, larger : float
        Shares of them with a smaller and with a larger value, 0..1.
    """

    cases: str
    smaller: float
    larger: float


def share(value: float) -> str:
    """Return a share of the reference cases as ``93 %``; never a bare 0 or 100."""
    number = round(100 * value)
    if number <= 0:
        return "fewer than 1 %"
    return "more than 99 %" if number >= 100 else f"{number} %"


def finding_sentence(subject: Subject, leading: Place, other: Place, *, speaks_for: bool) -> str:
    """Say where a value lies; against the other label where it speaks for the leading one, and the reverse.

    Returns
    -------
    str
        ``Border irregularity 0.61, above 93 % of nevi in the reference set.`` where the value is far out,
        otherwise how many of both have less or more.
    """
    distant = other if speaks_for else leading
    for word, part in (("above", distant.smaller), ("below", distant.larger)):
        if part >= FAR:
            return f"{subject.text}, {word} {share(part)} of {distant.cases} in the reference set."
    first, second = (leading, other) if speaks_for else (other, leading)
    below = max(leading.smaller, other.smaller) >= max(leading.larger, other.larger)
    counts = [(item.smaller if below else item.larger, item.cases) for item in (first, second)]
    shares = " and ".join(f"{share(part)} of {cases}" for part, cases in counts)
    return f"{subject.text}: {shares} {subject.words.less if below else subject.words.more}."


def map_sentence(method: str, outline: str, mass: MassInside) -> str:
    """Say how much of a map lies in an outline: ``68 % of the Grad-CAM map lies in the lesion, ...``."""
    name = printable(outline, 80)
    area = f"which takes {percent(mass.area_share)} of what the model saw"
    text = f"{percent(mass.share)} of the {method_name(method)} map lies in the {name}"
    if mass.place and mass.share >= WORTH_PLACING:
        return f"{text} ({area}), most of that {mass.place}."
    return f"{text}, {area}."


def conflict_outside(methods: Iterable[str], outline: str, leading: str) -> str:
    """Say that measurements speak for the label while maps lie elsewhere."""
    named = ", ".join(method_name(method) for method in methods)
    return (
        f"Map and measurements disagree: what is measured speaks for {leading}, but most of the map ({named}) lies "
        f"outside the {printable(outline, 80)}."
    )


def conflict_inside(methods: Iterable[str], outline: str, leading: str, other: str) -> str:
    """Say that maps lie in the outline, whose measurements speak against the label."""
    named = ", ".join(method_name(method) for method in methods)
    return (
        f"Map and measurements disagree: the map ({named}) lies in the {printable(outline, 80)}, but what is measured "
        f"speaks for {other} rather than {leading}."
    )
