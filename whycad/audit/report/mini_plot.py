"""The small interval beside a line of the verdict: where the effect lies from no effect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from whycad.audit.findings import Finding
from whycad.audit.report.scales import as_number
from whycad.audit.report.svg import SEVERITY_SHAPES, Drawing, Look
from whycad.audit.words import effect_words, is_ratio

WIDTH, HEIGHT, EDGE = 110.0, 20.0, 6.0


@dataclass(frozen=True)
class Kind:
    """Effects that share a scale: the same name, and the same value that means no effect."""

    name: str
    no_effect: float
    ratio: bool


Reaches = Mapping[Kind, float]


def kind_of(finding: Finding) -> Kind:
    """Return what a finding's effect is compared with."""
    return Kind(finding.effect_name, finding.no_effect, is_ratio(finding))


def reaches(findings: Iterable[Finding]) -> dict[Kind, float]:
    """Return, per kind of effect, how far its scale must reach to either side of no effect."""
    found: dict[Kind, float] = {}
    for finding in findings:
        kind = kind_of(finding)
        away = [abs(_offset(value, kind)) for value in _values(finding)]
        found[kind] = max([found.get(kind, 0.0), *away])
    return found


def draw_mini(finding: Finding, scales: Reaches) -> Markup:
    """Draw a finding's effect and interval; empty where it has no effect."""
    effect = as_number(finding.effect)
    if effect is None:
        return Markup("")
    kind = kind_of(finding)
    reach = scales.get(kind, 0.0) or 1.0
    drawing = Drawing(WIDTH, HEIGHT)
    middle = HEIGHT / 2
    drawing.line((_place(kind.no_effect, kind, reach), 3), (_place(kind.no_effect, kind, reach), HEIGHT - 3), "unknown")
    low, high = as_number(finding.ci_low), as_number(finding.ci_high)
    if low is not None and high is not None:
        drawing.line((_place(low, kind, reach), middle), (_place(high, kind, reach), middle), "ink", 1.6)
    look = Look(finding.severity.value, SEVERITY_SHAPES[finding.severity])
    drawing.mark((_place(effect, kind, reach), middle), look, size=3.6)
    return drawing.markup(f"{finding.effect_name} {effect_words(finding)}", "mini")


def _values(finding: Finding) -> list[float]:
    ends = (finding.effect, finding.ci_low, finding.ci_high)
    return [number for end in ends if (number := as_number(end)) is not None]


def _offset(value: float, kind: Kind) -> float:
    return math.log(max(value, 1e-12)) if kind.ratio else value - kind.no_effect


def _place(value: float, kind: Kind, reach: float) -> float:
    share = min(1.0, max(-1.0, _offset(value, kind) / reach))
    return WIDTH / 2 + share * (WIDTH / 2 - EDGE)
