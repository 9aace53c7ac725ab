"""The tables of a model card, generated from stored figures between two marks in the prose."""

from __future__ import annotations

import re
from collections.abc import Sequence

from whycad.manifest import Manifest
from whycad.types import JsonObject

BEGIN, END = "<!-- figures: generated, do not edit -->", "<!-- end of figures -->"
_BLOCK = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
NOT_ESTABLISHED = "not established"
HEADLINES = {
    "macro_auroc": "Macro AUROC",
    "balanced_accuracy": "Balanced accuracy of the label",
    "accuracy": "Accuracy of the label",
    "accuracy_reported": "Accuracy among reported cases",
    "ece_excess": "Calibration error beyond chance (15 bins)",
    "brier": "Brier score",
    "macro_coverage": "Coverage of 90 % sets, mean over classes",
    "mean_set_size": "Labels in a set",
    "aurc": "Area under the risk-coverage curve",
    "share_report": "Share reported",
    "share_refer": "Share referred",
    "share_reject": "Share rejected",
}


def with_tables(body: str, manifest: Manifest, figures: Sequence[JsonObject]) -> str:
    """Return a card's prose with fresh tables between the marks; unchanged where it has none.

    Parameters
    ----------
    body : str
        Markdown, without the YAML header.
    manifest : Manifest
    figures : sequence of JsonObject
        As ``whycad evaluate`` writes them, the main data set first.
    """
    if BEGIN not in body:
        return body
    tables = "\n\n".join(_section(stored, manifest) for stored in figures) or "No figures are stored yet."
    return _BLOCK.sub(lambda _match: f"{BEGIN}\n\n{tables}\n\n{END}", body)


def _section(stored: JsonObject, manifest: Manifest) -> str:
    split = f", split `{stored['split']}`" if stored.get("split") else ""
    parts = [
        f"### {stored['dataset']}{split}: {stored['n']:,} images, {stored['n_groups']:,} groups",
        f"Made by `{stored['command']}`. Intervals: 95 %, bootstrap by group.",
        _headlines(stored["metrics"]),
        _classes(stored, manifest),
        _points(stored.get("operating_points", {})),
        _subgroups(stored.get("subgroups", [])),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _number(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return NOT_ESTABLISHED
    text = f"{value:.3f}"
    return f"{text} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else text


def _share(figures: JsonObject, name: str, interval_name: str) -> str:
    """Return a share with its interval, or that too few cases were seen to give one."""
    interval = figures.get(interval_name)
    return _number(figures.get(name), interval) if interval else NOT_ESTABLISHED


def _headlines(metrics: JsonObject) -> str:
    rows = [
        [title, _number(metrics[name]["value"], metrics[name].get("interval"))]
        for name, title in HEADLINES.items()
        if name in metrics
    ]
    return _table(["Figure", "Value"], rows)


def _classes(stored: JsonObject, manifest: Manifest) -> str:
    training = stored.get("training_counts", {})
    rows = [
        [
            manifest.label(code).name,
            str(training.get(code, "")),
            str(figures["n"]),
            _number(figures.get("auroc"), figures.get("auroc_interval")),
            _share(figures, "sensitivity", "interval"),
            _share(figures, "coverage", "coverage_interval"),
        ]
        for code, figures in stored["per_class"].items()
        if figures["n"]
    ]
    return _table(["Class", "Training", "Tested", "AUROC", "Sensitivity of the label", "Coverage of 90 % sets"], rows)


def _points(points: JsonObject) -> str:
    rows = [
        [
            name,
            f"{figures['threshold']:.3f}",
            _number(figures.get("auroc"), figures.get("auroc_interval")),
            _share(figures, "sensitivity", "interval"),
            _share(figures, "specificity", "specificity_interval"),
        ]
        for name, figures in points.items()
    ]
    return _table(["Operating point", "Threshold", "AUROC", "Sensitivity", "Specificity"], rows)


def _subgroups(subgroups: Sequence[JsonObject]) -> str:
    rows = [
        [
            f"{group['field'].replace('_', ' ')}: {group['value']}",
            str(group["n"]),
            *(
                _number(group["metrics"][name]["value"], group["metrics"][name].get("interval"))
                for name in ("macro_auroc", "balanced_accuracy", "accuracy")
            ),
        ]
        for group in subgroups
    ]
    return _table(["Subgroup", "Tested", "Macro AUROC", "Balanced accuracy", "Accuracy"], rows)
