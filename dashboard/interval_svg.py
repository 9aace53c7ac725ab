"""Small pictures of intervals for the lines of a verdict; no Streamlit here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from dashboard.figures import QUIET, ink
from dashboard.figures_audit import SEVERITY_COLOURS
from whycad.audit.findings import Finding
from whycad.audit.words import is_ratio

WIDTH, HEIGHT, EDGE = 132, 22, 8
LEAST_REACH = 1e-9


def distances(finding: Finding) -> tuple[float, float, float] | None:
    """Return how far estimate, lower and upper bound lie from no effect; of ratios on a logarithmic scale."""
    if finding.effect is None:
        return None
    values = (finding.effect, finding.ci_low, finding.ci_high)
    low_to_high = [finding.effect if value is None else value for value in values]
    if is_ratio(finding):
        low_to_high = [math.log(value) for value in low_to_high]
        return low_to_high[0], low_to_high[1], low_to_high[2]
    zero = finding.no_effect
    return low_to_high[0] - zero, low_to_high[1] - zero, low_to_high[2] - zero


def reaches(findings: Iterable[Finding]) -> Mapping[str, float]:
    """Return how far from no effect each kind of effect reaches: effects of one name share a scale."""
    found: dict[str, float] = {}
    for finding in findings:
        places = distances(finding)
        if places is not None:
            reach = max(abs(place) for place in places)
            found[finding.effect_name] = max(found.get(finding.effect_name, LEAST_REACH), reach)
    return found


def interval_svg(finding: Finding, reach: float, *, dark: bool = False) -> str:
    """Draw a finding's interval around the line of no effect; empty where it has no number.

    Parameters
    ----------
    finding : Finding
    reach : float
        Distance from no effect that the half width stands for.
    dark : bool
    """
    places = distances(finding)
    if places is None:
        return ""
    scale = (WIDTH / 2 - EDGE) / max(reach, LEAST_REACH)
    x, low, high = (round(WIDTH / 2 + scale * place, 1) for place in places)
    middle, half = HEIGHT / 2, WIDTH / 2
    colour = SEVERITY_COLOURS[finding.severity]
    bar = f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}" stroke="{ink(dark=dark)}" stroke-width="1.6"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<line x1="{half}" x2="{half}" y1="2" y2="{HEIGHT - 2}" stroke="{QUIET}" stroke-width="1"/>'
        f'{bar if finding.ci_low is not None else ""}<circle cx="{x}" cy="{middle}" r="4" fill="{colour}"/></svg>'
    )


def interval_alt(finding: Finding, words: str) -> str:
    """Say in words what the picture shows."""
    return f"{finding.effect_name or 'effect'} {words}, no effect is {finding.no_effect:g}"
