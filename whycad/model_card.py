"""A model card: header and tables generated from the manifest and the stored figures; the prose is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

from whycad.card_audits import BLOCK as AUDIT_BLOCK
from whycad.card_audits import audit_block, read_audits
from whycad.card_blocks import begin_mark, with_blocks
from whycad.card_tables import with_tables
from whycad.errors import ManifestError
from whycad.map_grades import map_grades_of
from whycad.map_tables import card_block
from whycad.performance import MAX_BYTES
from whycad.plugin import Plugin, contained
from whycad.types import JsonObject
from whycad.wording import METHOD_NAMES

FIGURES_PATTERN = "performance*.json"
METRIC_NAMES = {
    "macro_auroc": ("roc_auc", "Macro AUROC, one against the rest"),
    "balanced_accuracy": ("balanced_accuracy", "Balanced accuracy"),
    "accuracy": ("accuracy", "Accuracy"),
    "ece_excess": ("calibration_error", "Top-label calibration error less what chance gives"),
    "brier": ("brier_score", "Brier score"),
    "macro_coverage": ("coverage", "Coverage of the 90 % sets, mean over classes"),
    "mean_set_size": ("set_size", "Labels in a set"),
}
MAPS_BLOCK = "explanations"
TASK_TYPE = "image-classification"
DECIMALS = 4
_HEADER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)


def card_text(plugin: Plugin, existing: str) -> str:
    """Return the card with a fresh header, fresh tables and the prose of the existing one.

    Parameters
    ----------
    plugin : Plugin
    existing : str
        The card as it is; empty where there is none, which gives a card with a title only.

    Raises
    ------
    ManifestError
        When stored figures are broken, or the card lacks the place of a table of the task's own.
    """
    body = _HEADER.sub("", existing.replace("\r\n", "\n"), count=1)
    if not body.strip():
        body = f"\n# {plugin.manifest.title}\n\n{plugin.manifest.intended_use}\n"
    body = with_blocks(with_tables(body, plugin.manifest, stored_figures(plugin.folder)), _own_blocks(plugin))
    if begin_mark(MAPS_BLOCK) in body:
        body = with_blocks(body, {MAPS_BLOCK: card_block(map_grades_of(plugin), METHOD_NAMES)})
    if begin_mark(AUDIT_BLOCK) in body:
        audits = read_audits(plugin.folder).audits
        body = with_blocks(body, {AUDIT_BLOCK: audit_block(audits, plugin.weights_sha256)})
    return f"---\n{card_header(plugin)}\n---\n{body}"


def _own_blocks(plugin: Plugin) -> dict[str, str]:
    """Return the tables that the task makes itself."""
    reference = plugin.manifest.code.card
    if reference is None:
        return {}
    blocks = plugin.resolve(reference)
    with contained(plugin, "card"):
        return dict(blocks())


def card_header(plugin: Plugin) -> str:
    """Return the YAML header, without the lines of dashes.

    Raises
    ------
    ManifestError
        When stored figures are broken.
    """
    from huggingface_hub import EvalResult, ModelCardData

    manifest = plugin.manifest
    figures = stored_figures(plugin.folder)
    results = [EvalResult(**fields) for stored in figures for fields in _result_fields(stored)]
    data = ModelCardData(
        license=manifest.licence.lower() or None,
        library_name="pytorch",
        pipeline_tag=TASK_TYPE,
        tags=["medical-imaging", "research-only", "not-for-clinical-use"],
        model_name=manifest.title,
        eval_results=results or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        id=manifest.id,
        version=manifest.version,
        evidence_level=manifest.evidence_level.value,
        intended_use=manifest.intended_use,
        labels={label.code: label.long_name or label.name for label in manifest.labels},
        must_not_miss=[label.code for label in manifest.labels if label.must_not_miss],
        ensemble_members=len(manifest.weights.files),
        weights_sha256=plugin.weights_sha256 if manifest.weights.files else None,
    )
    return str(data.to_yaml(line_break="\n"))


def stored_figures(folder: Path) -> list[JsonObject]:
    """Read ``performance.json`` and further sets (``performance-<name>.json``), the main one first."""
    return list(stored_figures_of(folder).values())


def stored_figures_of(folder: Path) -> dict[Path, JsonObject]:
    """Read the same by the file that it lies in."""
    paths = sorted(folder.glob(FIGURES_PATTERN), key=lambda path: (path.name != "performance.json", path.name))
    return {path: _read_figures(path) for path in paths}


def _read_figures(path: Path) -> JsonObject:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path.name!r} is larger than {MAX_BYTES} bytes")
        stored = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(stored["metrics"], dict) and isinstance(stored["dataset"], str):
            return dict(stored)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path.name!r} cannot be read ({type(error).__name__})", remedy="evaluate the model again"
        ) from error
    raise ManifestError(f"{path.name!r} holds no figures", remedy="evaluate the model again")


def _result_fields(stored: JsonObject) -> list[JsonObject]:
    """Return one row of the header's results per known metric."""
    common = {
        "task_type": TASK_TYPE,
        "dataset_name": stored["dataset"],
        "dataset_type": re.sub(r"[^a-z0-9]+", "-", stored["dataset"].lower()).strip("-"),
        "dataset_split": stored.get("split") or None,
    }
    rows = []
    for name, (kind, title) in METRIC_NAMES.items():
        metric = stored["metrics"].get(name)
        if metric is None or metric.get("value") is None:
            continue
        interval = metric.get("interval")
        arguments = {"interval_95": [round(end, DECIMALS) for end in interval]} if interval else None
        value = round(metric["value"], DECIMALS)
        row = {"metric_type": kind, "metric_name": title, "metric_value": value, "metric_args": arguments}
        rows.append({**common, **row})
    return rows
