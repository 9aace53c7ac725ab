"""A changed case as pictures: before, changed, and the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from whycad.audit.changes.change import Canvas, Change, Family, row_seed
from whycad.audit.changes.families import apply
from whycad.audit.changes.outline import on_grid
from whycad.audit.changes.paired_tables import Wording
from whycad.audit.changes.pictures import picture_of, save_picture
from whycad.audit.context import AuditContext
from whycad.audit.findings import Finding, Picture
from whycad.errors import WhyCadError
from whycad.imaging.display import default_window

N_PICTURED = 3


def pictures_of(
    context: AuditContext, family: Family, findings: Sequence[Finding], wording: Wording
) -> tuple[Picture, ...]:
    """Write the clearest case of each of the artefacts that matter most."""
    pictures: list[Picture] = []
    for finding in [one for one in findings if one.column and one.cases][:N_PICTURED]:
        place = int(np.flatnonzero(context.in_scope.ids == finding.cases[0])[0])
        change = Change(family, finding.column)
        pictures += before_and_after(context, wording.check, place, change, wording.name(finding.column))
    return tuple(pictures)


def before_and_after(context: AuditContext, check: str, place: int, change: Change, words: str) -> list[Picture]:
    """Write a case as it is, changed and with the control; a case that cannot be changed gives nothing.

    The control of a removal, which keeps clear of the finding, is not shown.

    Parameters
    ----------
    context : AuditContext
    check : str
    place : int
        The row's place in the scope.
    change : Change
    words : str
        What was changed, such as ``a ruler``.
    """
    row = int(context.scope[place])
    assert context.plugin is not None
    removed = change.family == "remove"
    wanted = {f"The same {'without' if removed else 'with'} {words}": change}
    if not removed:
        wanted["The control of equal size"] = change.control
    case = str(context.in_scope.ids[place])
    try:
        study, region = context.dataset.case(row)
        canvas = Canvas(study, region, context.plugin, row_seed(context.options.seed, row))
        made = {caption: apply(canvas, one) for caption, one in wanted.items()}
    except WhyCadError:
        return []
    window = default_window(study)
    studies = {"As it is": study, **{caption: one.study for caption, one in made.items() if one is not None}}
    return [
        save_picture(context, check, f"{change.kind}-{place}-{number}", picture_of(one, window), caption, case)
        for number, (caption, one) in enumerate(studies.items())
    ]


def parts_shown(
    context: AuditContext, check: str, place: int | None, changes: Sequence[Change], titles: Mapping[str, str]
) -> tuple[Picture, ...]:
    """Write what is left of one case by each change; nothing where there is no case.

    Outlines are those of the data set: a part that the task outlines itself is not drawn again.
    """
    if place is None:
        return ()
    row = int(context.scope[place])
    assert context.plugin is not None
    try:
        study, region = context.dataset.case(row)
        known = context.dataset.mask(row)
        outline = None if known is None else on_grid(known, study.spatial_shape)
        canvas = Canvas(study, region, context.plugin, row_seed(context.options.seed, row), lambda: outline)
        made = {titles[change.kind]: apply(canvas, change) for change in changes}
    except WhyCadError:
        return ()
    studies = {"As it is": study, **{title: one.study for title, one in made.items() if one is not None}}
    case, window = str(context.in_scope.ids[place]), default_window(study)
    return tuple(
        save_picture(context, check, f"part-{place}-{number}", picture_of(one, window), title, case)
        for number, (title, one) in enumerate(studies.items())
    )
