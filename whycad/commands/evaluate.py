"""``whycad evaluate``: figures of a model from a table of predictions."""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_task, add_where, positive, say

if TYPE_CHECKING:
    from whycad.audit.predictions import Predictions
    from whycad.datasets.source import StudySource
    from whycad.manifest import Manifest
    from whycad.plugin import Plugin
    from whycad.types import JsonObject, MetadataValue
    from whycad.uncertainty.calibration import Calibration

HEADLINES = ("macro_auroc", "balanced_accuracy", "accuracy", "ece_excess", "macro_coverage", "mean_set_size", "aurc")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure predictions against labels",
        description="Measure a table that `whycad predict` wrote: ranking, calibration, sets, decisions, operating "
        "points, per class and subgroup, with bootstrap intervals over groups.",
    )
    add_task(parser)
    parser.add_argument("--predictions", required=True, type=Path, metavar="PREDICTIONS.csv")
    parser.add_argument("--dataset", type=Path, metavar="PACK", help="what was predicted; its columns give subgroups")
    parser.add_argument("--name", default="", help="name of the data set for the record; the file's by default")
    parser.add_argument("--split", default="", metavar="NAME", help="for the record")
    add_where(parser, "rows of --dataset")
    parser.add_argument(
        "--training",
        type=Path,
        action="append",
        default=[],
        metavar="PACK",
        help="counts training images, where the plugin stores no counts; repeatable",
    )
    parser.add_argument("--draws", type=positive, default=1000, metavar="N", help="bootstrap draws (default 1000)")
    parser.add_argument("--json", type=Path, metavar="OUT.json")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the headlines and write everything."""
    from whycad.audit.performance import Evaluation, evaluate
    from whycad.audit.predictions import read_predictions
    from whycad.files import write_whole
    from whycad.registry import discover
    from whycad.types import EvidenceLevel

    plugin = discover().get(args.task, untrained=True)
    manifest = plugin.manifest
    predictions = _chosen(read_predictions(args.predictions, manifest.label_codes), args, manifest)
    calibration = _calibration(plugin)
    evaluation = Evaluation(
        dataset=args.name or (args.dataset or args.predictions).stem,
        split=args.split,
        command=_command(args),
        thresholds={n: p.threshold for n, p in calibration.operating_points.items()} if calibration else {},
        training_counts=_training_counts(args.training, manifest)
        or (calibration.training_counts if calibration else {}),
        metadata=_metadata(args.dataset, predictions, manifest) if args.dataset else (),
        n_draws=args.draws,
    )
    found = evaluate(predictions, manifest, evaluation)
    if args.json is not None:
        write_whole(args.json, json.dumps(_finite(found), indent=1, allow_nan=False) + "\n")
    _print(found, simulated=manifest.evidence_level is EvidenceLevel.SIMULATED)
    return 0


def _chosen(predictions: Predictions, args: argparse.Namespace, manifest: Manifest) -> Predictions:
    """Return the rows that fulfil every ``--where``."""
    import numpy as np

    from whycad.datasets.source import open_source
    from whycad.errors import DatasetError

    if not args.where:
        return predictions
    if args.dataset is None:
        raise DatasetError("--where needs the data set", remedy="name what was predicted after --dataset")
    source = open_source(args.dataset, manifest)
    _check_rows(args.dataset, source, predictions)
    keep = [all(wanted.holds(source, int(row)) for wanted in args.where) for row in predictions.row]
    if not any(keep):
        raise DatasetError("no row fulfils --where")
    return predictions.select(np.asarray(keep, dtype=bool))


def _command(args: argparse.Namespace) -> str:
    """Return the two commands that give these figures, by file name."""
    dataset = args.dataset.name if args.dataset else "DATASET"
    split = ["--split", args.split] if args.split else []
    predict = ["whycad", "predict", "--task", args.task, "--dataset", dataset, *split, "--out", args.predictions.name]
    evaluate = ["whycad", "evaluate", "--task", args.task, "--predictions", args.predictions.name]
    if args.where:
        evaluate += ["--dataset", dataset, *(part for wanted in args.where for part in ("--where", str(wanted)))]
    return f"{shlex.join(predict)} && {shlex.join(evaluate)}"


def _calibration(plugin: Plugin) -> Calibration | None:
    """Return the stored calibration; None where the plugin has none yet."""
    from whycad.uncertainty.calibration import read_calibration

    path = plugin.calibration_path()
    if path is None or not path.is_file():
        return None
    return read_calibration(path, plugin.manifest.label_codes)


def _training_counts(packs: Sequence[Path], manifest: Manifest) -> dict[str, int]:
    """Count the labelled ``train`` rows whose group is in no other split of the same pack."""
    from whycad.datasets.source import open_source

    counts: Counter[str] = Counter()
    for path in packs:
        source = open_source(path, manifest)
        training = set(source.rows("train"))
        others = {source.info(row).group for row in source.rows() if row not in training}
        infos = [source.info(row) for row in sorted(training)]
        counts.update(info.label for info in infos if info.label and info.group not in others)
    return {code: counts[code] for code in manifest.label_codes} if packs else {}


def _metadata(path: Path, predictions: Predictions, manifest: Manifest) -> list[dict[str, MetadataValue]]:
    from whycad.datasets.source import open_source

    source = open_source(path, manifest)
    _check_rows(path, source, predictions)
    return [source.info(int(row)).metadata for row in predictions.row]


def _check_rows(path: Path, source: StudySource, predictions: Predictions) -> None:
    from whycad.errors import DatasetError

    beyond = set(predictions.row.tolist()) - set(source.rows())
    if beyond:
        raise DatasetError(
            f"{path.name!r} has no row {min(beyond)}, which the predictions have",
            remedy="name the pack that was predicted",
        )


def _finite(value: object) -> object:
    """Return JSON with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value - value != 0 else value


def _print(found: JsonObject, *, simulated: bool) -> None:
    size = f"{found['n']} cases, {found['n_groups']} groups, {found['n_failed']} failed"
    size += ", simulated data" if simulated else ""
    say(f"{found['dataset']} {found['split']}: {size}")
    for name in HEADLINES:
        say(f"  {name:18s} {_figure(found['metrics'][name])}")
    for code, figures in found["per_class"].items():
        if figures["n"]:
            behind = (0.9 - figures["coverage"]) / figures["coverage_se"] if figures["coverage_se"] else 0.0
            say(
                f"  {code:10s} n {figures['n']:5d}  AUROC {figures.get('auroc', float('nan')):.3f}  sensitivity "
                f"{figures['sensitivity']:.3f}  coverage {figures['coverage']:.3f} ({behind:+.1f} SE below 90 %)"
            )


def _figure(metric: JsonObject) -> str:
    if metric["value"] is None:
        return "not defined"
    interval = metric["interval"]
    return f"{metric['value']:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")
