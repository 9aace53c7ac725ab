"""The line of argument: which measurements, ratings and maps speak for the leading label, and which against.

Everything follows from numbers by fixed rules; no language model is involved. A measurement's weight
is the likelihood ratio of the leading label and its runner-up near the value, from the reference
distributions; ratios count each measurement by itself and do not add up to the model's probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from whycad.argument_words import (
    Place,
    Subject,
    conflict_inside,
    conflict_outside,
    finding_sentence,
    map_sentence,
)
from whycad.manifest import Manifest, Words
from whycad.map_mass import MassInside, covered, mass_inside
from whycad.reference import Distribution, LabelDistribution, Reference, ReferenceSource, reference_of
from whycad.targets import target_of
from whycad.types import AnalysisResult, Concept, Finding, Measurement, Segmentation, TaskKind
from whycad.wording import cases_of, printable, ranked, shows_answer

if TYPE_CHECKING:
    from whycad.plugin import Plugin

# Chosen, not fitted. A window of a fifth of the pooled cases, as much prior weight as ten cases.
WINDOW = 0.2
PRIOR_CASES = 10
# A likelihood ratio of 1.5; where there are fewer than three such findings, 1.2 will do.
STRONG, LEAST_STRENGTH, FEWEST = 0.2, 0.1, 3
MOST_EACH_WAY = 5
MOST_MAPS = 2
FAILED_GRADE = "fails"
# A map is in the outline, or elsewhere, by the share of its strongest places, and against an even map.
MOSTLY_INSIDE, MOSTLY_OUTSIDE = 0.5, 0.3
# Log likelihood ratio of the three strongest measurements that counts as speaking clearly.
CLEAR = math.log(3.0)
N_STRONGEST = 3


@dataclass(frozen=True)
class Pair:
    """The labels set against each other.

    Attributes
    ----------
    leading, other : str
        Codes.
    """

    leading: str
    other: str


@dataclass(frozen=True, eq=False)
class _Weighed:
    """A finding and its log likelihood ratio."""

    finding: Finding
    ratio: float


def with_findings(result: AnalysisResult, plugin: Plugin) -> AnalysisResult:
    """Return a result with its line of argument drawn up anew, from the evidence and all maps that it has.

    Raises
    ------
    ManifestError
        When the task's reference file is broken.
    """
    return replace(result, findings=line_of_argument(result, plugin.manifest, reference_of(plugin)))


def line_of_argument(result: AnalysisResult, manifest: Manifest, reference: Reference | None) -> tuple[Finding, ...]:
    """Return the findings for and against the leading label, strongest first.

    Parameters
    ----------
    result : AnalysisResult
        With its evidence and whatever maps there are.
    manifest : Manifest
    reference : Reference or None
        Without one, only maps speak.

    Returns
    -------
    tuple of Finding
        At most five each way, conflicts first; empty where no answer is shown.
    """
    if not shows_answer(result):
        return ()
    reference = reference or Reference(source=ReferenceSource(dataset="", selection="", n=0, weights_sha256=""))
    pair = pair_of(result, manifest, reference)
    weighed, maps = _weighed(result, manifest, pair, reference), _maps(result, manifest)
    findings = [*(item.finding for item in weighed), *(item.finding for item in maps)]
    kept = [finding for finding in findings if finding.strength >= LEAST_STRENGTH]
    each_way = [*_strongest(kept, speaks_for=True), *_strongest(kept, speaks_for=False)]
    conflicts = _conflicts(maps, weighed, pair, manifest)
    return (*conflicts, *sorted(each_way, key=lambda finding: -finding.strength))


def _strongest(findings: list[Finding], *, speaks_for: bool) -> list[Finding]:
    """Return the strongest findings of one side, at most two of them from maps."""
    mine = sorted((f for f in findings if f.speaks_for is speaks_for), key=lambda finding: -finding.strength)
    maps = [f for f in mine if f.source == "map"][:MOST_MAPS]
    chosen = [f for f in mine if f.source != "map" or f in maps][:MOST_EACH_WAY]
    return [f for number, f in enumerate(chosen) if f.strength >= STRONG or number < FEWEST]


def pair_of(result: AnalysisResult, manifest: Manifest, reference: Reference) -> Pair | None:
    """Return the leading label and what it is set against: the neighbour, in an ordinal task, or the runner-up.

    Only labels with an established distribution are taken; None where there are no two, and of a
    task whose labels do not exclude each other.
    """
    if manifest.kind is TaskKind.MULTILABEL:
        return None
    distributions = (*reference.measurements.values(), *reference.concepts.values())
    known = {code for item in distributions for code in item.labels if item.of(code) is not None}
    leading = result.prediction.predicted
    others = [code for code in ranked(result.prediction) if code != leading and code in known]
    if manifest.kind is TaskKind.ORDINAL:
        place = manifest.label_codes.index(leading)
        others = [code for code in others if abs(manifest.label_codes.index(code) - place) == 1]
    return Pair(leading, others[0]) if leading in known and others else None


def log_ratio(leading: LabelDistribution, other: LabelDistribution, value: float) -> float:
    """Return the log likelihood ratio of two labels near a value, shrunk where cases are few.

    The cases of both labels, each label counting half, are looked at in a window about the value that
    holds a fifth of them, or all of those that share the value.
    """
    pair = (leading, other)
    low = sum(item.smaller(value) for item in pair) / 2
    high = 1 - sum(item.larger(value) for item in pair) / 2
    start = min(max((low + high - WINDOW) / 2, 0.0), 1 - WINDOW)
    edges = min(start, low), max(start + WINDOW, high)
    pooled = np.sort(np.concatenate([item.quantiles for item in pair]))
    first, last = (float(edge) for edge in np.interp(edges, np.linspace(0, 1, len(pooled)), pooled))
    prior = PRIOR_CASES * (edges[1] - edges[0])
    inside = [max(1 - item.smaller(first) - item.larger(last), 0.0) for item in pair]
    shares = [(item.n * part + prior) / (item.n + PRIOR_CASES) for item, part in zip(pair, inside, strict=True)]
    return math.log(shares[0] / shares[1])


def words_of(key: str, manifest: Manifest) -> Words:
    """Return the task's words for a measurement or concept."""
    return manifest.argument.words.get(key, Words())


def _weighed(result: AnalysisResult, manifest: Manifest, pair: Pair | None, reference: Reference) -> list[_Weighed]:
    """Weigh every measurement and rating that is known of both labels."""
    if pair is None:
        return []
    silent = set(manifest.argument.silent)
    names = {item.name for item in result.segmentations}
    seat = next((item.name for item in _seat(result, manifest)), "")
    candidates = [
        *(_of_measurement(m, reference, names, manifest) for m in result.measurements if m.key not in silent),
        *(_of_concept(c, reference, manifest, seat) for c in result.concepts if c.name not in silent),
    ]
    return [weighed for item in candidates if item and (weighed := _weigh(item, pair, manifest)) is not None]


@dataclass(frozen=True, eq=False)
class _Candidate:
    text: str
    value: float
    known: Distribution
    key: str
    source: str
    outline: str = ""


def _of_measurement(item: Measurement, reference: Reference, names: set[str], manifest: Manifest) -> _Candidate | None:
    known = reference.measurements.get(item.key)
    if known is None:
        return None
    unit = f" {printable(item.unit, 20)}" if item.unit else ""
    text = f"{words_of(item.key, manifest).name or printable(item.name, 60)} {item.value:.3g}{unit}"
    outline = item.outline if item.outline in names else ""
    return _Candidate(text, item.reference_value, known, item.key, "measurement", outline)


def _of_concept(item: Concept, reference: Reference, manifest: Manifest, outline: str) -> _Candidate | None:
    known = reference.concepts.get(item.name)
    if known is None:
        return None
    name = words_of(item.name, manifest).name or printable(item.name.replace("_", " "), 60).capitalize()
    level = printable(item.levels[max(range(len(item.levels)), key=lambda i: item.probabilities[i])], 60)
    text = f"{name} rated {item.expected:.1f} of {len(item.levels)} by the model (most likely “{level}”)"
    return _Candidate(text, item.expected, known, item.name, "concept", outline)


def _weigh(item: _Candidate, pair: Pair, manifest: Manifest) -> _Weighed | None:
    leading, other = item.known.of(pair.leading), item.known.of(pair.other)
    if leading is None or other is None:
        return None
    ratio = log_ratio(leading, other, item.value)
    places = [
        Place(cases_of(code, manifest), found.smaller(item.value), found.larger(item.value))
        for code, found in ((pair.leading, leading), (pair.other, other))
    ]
    subject = Subject(item.text, words_of(item.key, manifest))
    finding = Finding(
        sentence=finding_sentence(subject, *places, speaks_for=ratio > 0),
        speaks_for=ratio > 0,
        strength=abs(math.tanh(ratio / 2)),
        source=item.source,
        key=item.key,
        outline=item.outline,
    )
    return _Weighed(finding, ratio)


@dataclass(frozen=True, eq=False)
class _Looked:
    """Where a map lies with respect to the outline that its task names."""

    method: str
    outline: str
    first: str
    mass: MassInside

    @property
    def inside(self) -> bool:
        return self.mass.peak_share >= MOSTLY_INSIDE and self.mass.share > self.mass.area_share

    @property
    def outside(self) -> bool:
        # A coarse map spills over a small outline: it is elsewhere only where an even map would have more inside.
        return self.mass.peak_share <= MOSTLY_OUTSIDE and self.mass.share < min(self.mass.area_share, MOSTLY_INSIDE)

    @property
    def finding(self) -> Finding:
        """How far the share inside is from what a map without a preference has."""
        return Finding(
            sentence=map_sentence(self.method, self.outline, self.mass),
            speaks_for=self.mass.share > self.mass.area_share,
            strength=min(1.0, abs(self.mass.share - self.mass.area_share)),
            source="map",
            key=self.method,
            outline=self.first,
        )


def _seat(result: AnalysisResult, manifest: Manifest) -> list[Segmentation]:
    """Return the outlines in which what is looked for has its seat."""
    wanted = manifest.argument.outlines or tuple(item.name for item in result.segmentations[:1])
    return [item for item in result.segmentations if item.name in wanted]


def _maps(result: AnalysisResult, manifest: Manifest) -> list[_Looked]:
    """Hold the maps of the leading label against the outlines; failed maps say nothing."""
    chosen, leading = _seat(result, manifest), result.prediction.predicted
    own = [a for a in result.attributions if target_of(a.target, manifest).label == leading]
    own = [a for a in own if a.fidelity.grade != FAILED_GRADE]
    if not chosen or not own or leading in manifest.argument.absent:
        return []
    outline = chosen[0].mask if len(chosen) == 1 else np.logical_or.reduce([item.mask for item in chosen])
    name = " or ".join(item.name.replace("_", " ") for item in chosen)
    seen = covered(*(a.map for a in result.attributions))
    looked = [(a.method, mass_inside(a.map, outline, seen)) for a in own]
    return [_Looked(method, name, chosen[0].name, mass) for method, mass in looked if mass is not None]


def _conflicts(maps: list[_Looked], weighed: list[_Weighed], pair: Pair | None, manifest: Manifest) -> list[Finding]:
    """Say so where most maps and the measurements do not go together."""
    strongest = sorted((item.ratio for item in weighed), key=abs, reverse=True)[:N_STRONGEST]
    balance = sum(strongest)
    if pair is None or not maps or abs(balance) < CLEAR:
        return []
    leading, other = (manifest.label(code).name for code in (pair.leading, pair.other))
    outside, inside = [m for m in maps if m.outside], [m for m in maps if m.inside]
    if balance > 0 and 2 * len(outside) > len(maps):
        return [_conflict(outside, conflict_outside([m.method for m in outside], outside[0].outline, leading))]
    if balance < 0 and 2 * len(inside) > len(maps):
        return [_conflict(inside, conflict_inside([m.method for m in inside], inside[0].outline, leading, other))]
    return []


def _conflict(maps: list[_Looked], sentence: str) -> Finding:
    return Finding(sentence, False, 1.0, "conflict", maps[0].method, maps[0].first)
