"""The task's own input gate: lets upright B-scans of a retina pass.

A B-scan has a dark vitreous above a sharp border, a bright band below it, and little light deep
down. The bounds are wide: they were set beyond the extremes of 300 training scans, and are there
to stop other pictures, not other scanners.
"""

from __future__ import annotations

from plugins.retinal_oct.survey import Layout, ScanSurvey, survey
from whycad.types import Region, Study
from whycad.uncertainty.input_gate import Bound, exceeded

COLOUR = "The image is in colour; this task reads grey B-scans."
NOT_A_SCAN = "No retina was found: a B-scan shows a layered band with a sharp upper border under a dark space."
INVERTED = "The image is bright where a B-scan is dark: its greys may be inverted."
UPSIDE_DOWN = "The B-scan seems to be upside down: the vitreous must be above the retina."
CUT_OFF = "Large parts of the B-scan's width show nothing."
BACKGROUND_LIMIT = 0.5


def layout_problems(layout: Layout) -> tuple[str, ...]:
    """Return why a layout is not that of an upright B-scan; empty where it is."""
    if layout.background > BACKGROUND_LIMIT:
        return (INVERTED,)
    shape = exceeded(
        (
            Bound(layout.thickness, 9.0, 80.0, NOT_A_SCAN),
            Bound(layout.spread, 0.0, 85.0, NOT_A_SCAN),
            Bound(layout.wave, 0.0, 0.40, NOT_A_SCAN),
            Bound(layout.above, 0.0, 0.75, NOT_A_SCAN),
            Bound(layout.below, 0.0, 0.7, NOT_A_SCAN),
            Bound(layout.band, 1.15, 6.0, NOT_A_SCAN),
            Bound(layout.empty, 0.0, 0.30, CUT_OFF),
        )
    )
    if layout.turned_step > layout.turned_limit:
        return (UPSIDE_DOWN,)
    if layout.inner_step < 0.5:
        return (NOT_A_SCAN,)
    return tuple(dict.fromkeys(shape))


def gate(study: Study, region: Region | None, found: ScanSurvey | None = None) -> tuple[str, ...]:
    """Return why this image cannot be scored; empty where it can.

    Parameters
    ----------
    study : Study
        A single B-scan; of a volume, each slice by itself.
    region : Region or None
        Ignored: the whole scan is read.
    found : ScanSurvey or None
        The study's survey; made here where there is none.
    """
    if study.is_colour:
        return (COLOUR,)
    found = found or survey(study, region)
    return layout_problems(found.layout) if found else (NOT_A_SCAN,)
