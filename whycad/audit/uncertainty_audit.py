"""Measure one task's uncertainty: its held-out rows, unseen diseases, and images it is not made for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whycad.audit.case_table import CaseTable
from whycad.audit.evaluation_sets import EvaluationSet
from whycad.audit.ood_detection import Detection, GateScores, Missed, detect, missed_rate
from whycad.audit.subgroups import subgroup_masks
from whycad.audit.uncertainty_figures import (
    Judged,
    calibration_figures,
    healthy_labels,
    judged_cases,
    policy_figures,
    ranking_figures,
    selective_figures,
    set_figures,
)
from whycad.audit.uncertainty_report import TaskReport
from whycad.audit.uncertainty_run import (
    Rows,
    Runner,
    foreign_cases,
    open_rows,
    picture_cases,
    ruined_cases,
)
from whycad.manifest import Manifest
from whycad.uncertainty.calibration import Calibration

AS_THEY_COME, DISGUISED = "as they come", "in the task's own format"
MIN_SUBGROUP = 30


@dataclass(frozen=True, eq=False)
class Plan:
    """What to measure a task on.

    Attributes
    ----------
    data : Path
        Folder of image packs.
    sets : sequence of EvaluationSet
        The task's own.
    foreign : sequence of Rows
        Of other tasks.
    n_draws : int
        Bootstrap draws.
    n_foreign : int
        Images of each other task at most.
    """

    data: Path
    sets: Sequence[EvaluationSet]
    foreign: Sequence[Rows]
    n_draws: int = 1000
    n_foreign: int = 200


def measure(runner: Runner, calibration: Calibration, plan: Plan) -> TaskReport:
    """Run the task on everything in the plan and return the figures.

    Parameters
    ----------
    runner : Runner
    calibration : Calibration
    plan : Plan

    Raises
    ------
    WhyCadError
        When the main set cannot be read.
    """
    manifest = runner.plugin.manifest
    main = next(item for item in plan.sets if item.role == "main")
    rows = open_rows(main, runner.plugin, plan.data, labelled=True)
    own = runner.table(main.name, rows.facts, rows.cases)
    keep = judged_cases(own)
    judged = _judged(rows, own, keep, Judged(own.select(keep), manifest, calibration, plan.n_draws))
    sets, classes, parts = set_figures(judged)
    return TaskReport(
        manifest=manifest,
        calibration=calibration,
        dataset=main.name,
        n=int(keep.sum()),
        n_groups=len(np.unique(judged.table.group)),
        n_unscored=int((~keep).sum()),
        sections={
            "Ranking": ranking_figures(judged),
            "Calibration": calibration_figures(judged),
            "Sets": sets,
            "Answering only where it is sure": selective_figures(judged),
            "Policy": policy_figures(judged),
        },
        classes=classes,
        subgroups=parts,
        detections=_detections(runner, rows, own, plan),
        missed=list(_missed(runner, plan, manifest)),
    )


def _judged(rows: Rows, own: CaseTable, keep: np.ndarray, base: Judged) -> Judged:
    """Add subgroups and the rival score to what is judged."""
    metadata = [facts for facts, kept in zip(rows.metadata(), keep, strict=True) if kept]
    groups = {f"{name}: {value}": mask for name, value, mask in subgroup_masks(metadata) if mask.sum() >= MIN_SUBGROUP}
    diameters = rows.diameters()
    rival = None if diameters is None or not np.isfinite(diameters[keep]).any() else diameters[keep]
    return Judged(own.select(keep), base.manifest, base.calibration, base.n_draws, base.level, groups, rival)


def gate_scores(table: CaseTable) -> GateScores:
    """Return what the gate said of a table's cases."""
    return GateScores(table.gate_score, table.decision, table.group)


def _detections(runner: Runner, rows: Rows, own: CaseTable, plan: Plan) -> dict[str, list[Detection]]:
    """Compare the task's own images with strange ones; none where it has no gate."""
    if np.isnan(own.gate_score).any():
        return {}
    inside = gate_scores(own)
    found: dict[str, list[Detection]] = {}
    for way, name, table in _strange_tables(runner, rows, plan):
        found.setdefault(way, []).append(detect(name, inside, gate_scores(table), plan.n_draws))
    return found


def _strange_tables(runner: Runner, rows: Rows, plan: Plan) -> Iterator[tuple[str, str, CaseTable]]:
    """Yield how they are shown, name, and predictions of each set of strange images."""
    plugin = runner.plugin
    for way, disguised in ((AS_THEY_COME, False), (DISGUISED, True)):
        for other in plan.foreign:
            some = other.some(plan.n_foreign)
            facts = some.facts | {"way": way}
            table = runner.table(
                f"{other.item.name}, {way}",
                facts,
                lambda some=some, disguised=disguised: foreign_cases(some, plugin, disguised=disguised),  # type: ignore[misc]
            )
            yield way, other.item.name, table
    for name, noise in (("everyday pictures and textures", False), ("noise", True)):
        table = runner.table(name, {}, lambda noise=noise: picture_cases(plugin, noise=noise))  # type: ignore[misc]
        yield DISGUISED, name, table
    yield DISGUISED, "own images, ruined", runner.table("ruined", rows.facts, lambda: ruined_cases(rows))


def _missed(runner: Runner, plan: Plan, manifest: Manifest) -> Iterator[tuple[Missed, float | None]]:
    """Yield how often each unseen disease is reported as healthy."""
    healthy = healthy_labels(manifest)
    for item in plan.sets:
        if item.role != "unseen":
            continue
        rows = open_rows(item, runner.plugin, plan.data)
        table = runner.table(item.name, rows.facts, rows.cases)
        missed = np.isin(table.predicted, healthy) & (table.decision == "report")
        yield missed_rate(item.name, missed, table.group, plan.n_draws), item.most_missed
