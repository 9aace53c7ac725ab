"""From a change's name to the changed image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from whycad.audit.changes.change import Canvas, Change, Changed, Family
from whycad.audit.changes.corrupt import corrupted
from whycad.audit.changes.insert import with_artefact
from whycad.audit.changes.keep import kept_part
from whycad.audit.changes.remove import without_artefact

FAMILIES: Mapping[Family, Callable[[Canvas, Change], Changed | None]] = {
    "insert": with_artefact,
    "remove": without_artefact,
    "keep": kept_part,
    "corrupt": corrupted,
}


def apply(canvas: Canvas, change: Change) -> Changed | None:
    """Change a case.

    Returns
    -------
    Changed or None
        None where there is nothing to change, such as an artefact that is not there.

    Raises
    ------
    WhyCadError
        When the change cannot be made.
    """
    return FAMILIES[change.family](canvas, change)
