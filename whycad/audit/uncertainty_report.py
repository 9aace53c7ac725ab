"""One task's uncertainty, measured, and all tasks' as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whycad.audit.bootstrap import Estimate
from whycad.audit.bounds import OOD_AUROC, Figure
from whycad.audit.coverage import MIN_ESTABLISHED, MIN_JUDGED, Coverage
from whycad.audit.ood_detection import Detection, Missed
from whycad.manifest import Manifest
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.ood import OodGate

NOT_ESTABLISHED = "not established"
FOREWORD = """# Uncertainty

Written by `{command}`; do not edit. Figures are point estimates with 95 % intervals from a bootstrap over patients
or lesions. Everything that could be fitted was fitted on groups cut from `train`; these are the held-out rows.
"Wanted" is the bound that the project set itself; **no** marks one that is not kept. A number from fewer than
{few} cases is not given.
"""


@dataclass(frozen=True, eq=False)
class TaskReport:
    """Everything that was measured of one task.

    Attributes
    ----------
    manifest : Manifest
    calibration : Calibration
    dataset : str
        For the reader; empty where no labelled set was at hand.
    n, n_groups, n_unscored : int
        Labelled cases that were scored, their groups, and those that were refused or failed.
    sections : dict of str to sequence of Figure
    classes, subgroups : sequence of Coverage
    detections : dict of str to sequence of Detection
        Per way of showing the images.
    missed : sequence of (Missed, float or None)
        Unseen diseases, with the most that may be missed.
    """

    manifest: Manifest
    calibration: Calibration
    dataset: str = ""
    n: int = 0
    n_groups: int = 0
    n_unscored: int = 0
    sections: Mapping[str, Sequence[Figure]] = field(default_factory=dict)
    classes: Sequence[Coverage] = ()
    subgroups: Sequence[Coverage] = ()
    detections: Mapping[str, Sequence[Detection]] = field(default_factory=dict)
    missed: Sequence[tuple[Missed, float | None]] = ()

    def unmet(self) -> list[str]:
        """Return the names of bounds that are not kept."""
        found = [row.name for rows in self.sections.values() for row in rows if row.met is False]
        found += [f"coverage of {part.name}" for part in self.classes if not part.holds]
        found += [
            f"OOD AUROC against {row.name}, {way}"
            for way, rows in self.detections.items()
            for row in rows
            if not row.name.startswith("own") and row.auroc.value < OOD_AUROC
        ]
        return found + [f"missed: {row.name}" for row, most in self.missed if most is not None and _share(row) > most]


def _share(row: Missed) -> float:
    return row.by_patient.value


def write_report(reports: Sequence[TaskReport], skipped: Sequence[tuple[str, str]], command: str) -> str:
    """Return the Markdown of all tasks.

    Parameters
    ----------
    reports : sequence of TaskReport
    skipped : sequence of (str, str)
        Tasks without figures, and why.
    command : str
        That wrote this.
    """
    parts = [FOREWORD.format(command=command, few=MIN_ESTABLISHED), _summary(reports)]
    parts += [f"**{task}** is left out: {why}.\n" for task, why in skipped]
    parts += [_task(report) for report in reports]
    return "\n".join(parts)


def _summary(reports: Sequence[TaskReport]) -> str:
    rows = []
    for report in reports:
        unmet = report.unmet()
        rows.append(
            [report.manifest.title, f"{report.n:,}", "all kept" if not unmet else "not kept: " + "; ".join(unmet)]
        )
    return table(["task", "cases", "bounds"], rows) if rows else ""


def _task(report: TaskReport) -> str:
    manifest = report.manifest
    lines = [f"## {manifest.title} (`{manifest.id}` {manifest.version})\n"]
    if manifest.evidence_level.value == "simulated":
        lines.append("**Simulated data**: the model was trained and is judged on images that a program made.\n")
    lines.append(_calibration_text(report.calibration))
    if report.dataset:
        refused = f"; {report.n_unscored} more were refused or failed" if report.n_unscored else ""
        lines.append(f"Judged on {report.dataset}: {report.n:,} cases of {report.n_groups:,} groups{refused}.\n")
    for title, figures in report.sections.items():
        lines += [f"### {title}\n", figure_table(figures)]
    if report.classes:
        lines += ["### Coverage of the 90 % sets\n", coverage_table([*report.classes, *report.subgroups])]
    for title, found in report.detections.items():
        lines += [f"### Strange images, {title}\n", detection_table(found)]
    if report.missed:
        lines += ["### Diseases that it was never shown\n", missed_table(report.missed)]
    return "\n".join(lines)


def _calibration_text(calibration: Calibration) -> str:
    source, gate = calibration.source, calibration.ood
    scaling = "temperature and offset" if calibration.scaling is None else calibration.scaling.form
    text = (
        f"Calibrated on {source.dataset}, {source.selection}: {source.n:,} images of {source.n_groups:,} groups. "
        f"Scaling: {scaling}. Conformal score: {calibration.score.form}. "
    )
    if isinstance(gate, OodGate):
        text += f"Gate over {', '.join(name.replace('_', ' ') for name in gate.tails)}: "
    if gate is not None:
        text += f"refers above {gate.refer_above:.2f}, rejects above {gate.reject_above:.2f}."
    return text.strip() + "\n"


def number(value: float, digits: int) -> str:
    """Return a number, or a dash where it is not defined."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def with_interval(value: float, interval: tuple[float, float] | None, digits: int = 3) -> str:
    """Return ``0.912 (0.900 to 0.925)``."""
    if interval is None or not math.isfinite(value):
        return number(value, digits)
    return f"{number(value, digits)} ({number(interval[0], digits)} to {number(interval[1], digits)})"


def _estimate(found: Estimate, digits: int = 3) -> str:
    return with_interval(found.value, found.interval, digits)


def _kept(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "**no**"


def figure_table(figures: Sequence[Figure]) -> str:
    """Return figures with their bounds as a table."""
    rows = [
        [row.name, with_interval(row.value, row.interval, row.digits), row.wanted, _kept(row.met), row.note]
        for row in figures
    ]
    return table(["figure", "value", "wanted", "kept", "note"], rows)


def coverage_table(parts: Sequence[Coverage]) -> str:
    """Return coverages with the distance from their promise in standard errors."""
    rows = []
    for part in parts:
        text = with_interval(part.share, part.interval) if part.established else NOT_ESTABLISHED
        judged = part.n >= MIN_JUDGED
        below = f"{max(part.shortfall, 0):.1f}" if judged else ""
        kept = _kept(part.holds) if judged else ""
        rows.append([part.name, f"{part.n:,}", f"{part.n_groups:,}", text, below, kept])
    return table(["class or subgroup", "cases", "groups", "coverage", "standard errors below 0.9", "kept"], rows)


def detection_table(found: Sequence[Detection]) -> str:
    """Return how well the gate tells strange images."""
    rows = [
        [
            row.name,
            f"{row.n:,}",
            _estimate(row.auroc),
            _kept(None if row.name.startswith("own") else row.auroc.value >= OOD_AUROC),
            _estimate(row.refused, 2),
            _estimate(row.not_reported, 2),
        ]
        for row in found
    ]
    return table(["images", "n", "AUROC", f"at least {OOD_AUROC:g}", "rejected", "rejected or referred"], rows)


def missed_table(found: Sequence[tuple[Missed, float | None]]) -> str:
    """Return how often unseen disease is reported as healthy."""
    rows = []
    for row, most in found:
        wanted = "" if most is None else f"at most {most:.0%}"
        kept = _kept(None if most is None else _share(row) <= most)
        rows.append(
            [
                row.name,
                f"{row.n:,}",
                f"{row.n_groups:,}",
                _estimate(row.by_patient, 2),
                _estimate(row.missed, 2),
                wanted,
                kept,
            ]
        )
    return table(["disease", "images", "patients", "missed, by patient", "missed, by image", "wanted", "kept"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), "|" + "---|" * len(header), *(line(row) for row in rows)]) + "\n"
