"""``whycad predict``: a table of predictions for a pack, a folder or a file."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_task, add_where, level, positive, say

if TYPE_CHECKING:
    from whycad.batch import BatchOptions
    from whycad.datasets.source import StudySource
    from whycad.datasets.stream import LoadedRow
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin
    from whycad.predictions_csv import PredictionTable

FAILED = "failed"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "predict",
        help="write predictions for a data set to a CSV file",
        description="Predict every row of a pack (.npz) or every file below a folder. A row that fails is a row "
        "with an error. The output appears under its name once it is complete.",
    )
    add_task(parser)
    parser.add_argument("--dataset", required=True, type=Path, metavar="PACK_OR_FOLDER")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.csv")
    parser.add_argument("--split", metavar="NAME", help="rows of this split only, such as val; all rows by default")
    add_where(parser, "rows of a pack")
    parser.add_argument("--evidence", action="store_true", help="add measurements and concepts as a column of JSON")
    parser.add_argument("--batch", type=positive, default=32, metavar="N", help="images at once (default 32)")
    parser.add_argument("--coverage", type=level, default=0.9, help="nominal coverage of the sets (default 0.9)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Predict and write; 1 where not one row could be predicted."""
    from whycad.batch import BatchOptions
    from whycad.datasets.source import open_source
    from whycad.errors import DatasetError
    from whycad.files import whole_file
    from whycad.inference import choose_device, load_members
    from whycad.predictions_csv import PredictionTable
    from whycad.registry import discover

    plugin = discover().get(args.task)
    source = open_source(args.dataset, plugin.manifest, read_row=plugin.row_reader)
    rows = [row for row in source.rows(args.split) if all(wanted.holds(source, row) for wanted in args.where)]
    if not rows:
        raise DatasetError(f"{args.dataset.name!r} has no rows to predict", remedy="check --split and --where")
    ensemble = load_members(plugin, choose_device(args.device))
    with whole_file(args.out, newline="") as stream:
        table = PredictionTable(stream, plugin.manifest.label_codes)
        options = BatchOptions(args.coverage, args.evidence)
        counts = _predict_all(_Run(plugin, ensemble, table, options), source, rows, args.batch)
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("report", "refer", "reject", FAILED) if counts[kind])
    say(f"{len(rows)} rows ({kinds}) in {args.out}")
    return int(counts[FAILED] == len(rows))


@dataclass(frozen=True)
class _Run:
    plugin: Plugin
    ensemble: Ensemble
    table: PredictionTable
    options: BatchOptions

    def batch(self, items: Sequence[LoadedRow]) -> Counter[str]:
        """Predict the rows that could be read and write all of them, in order."""
        from whycad import batch
        from whycad.errors import WhyCadError
        from whycad.types import Study

        cases = [(item.study, item.region) for item in items if isinstance(item.study, Study)]
        predicted = iter(batch.predict_cases(cases, self.plugin, self.ensemble, self.options))
        counts: Counter[str] = Counter()
        for item in items:
            outcome = next(predicted) if isinstance(item.study, Study) else item.study
            self.table.write(item.row, item.info, outcome)
            counts[FAILED if isinstance(outcome, WhyCadError) else outcome.prediction.decision.kind.value] += 1
        return counts


def _predict_all(work: _Run, source: StudySource, rows: Sequence[int], size: int) -> Counter[str]:
    from tqdm import tqdm

    from whycad.datasets.stream import load_batches

    counts: Counter[str] = Counter()
    with tqdm(total=len(rows), unit="image", desc=f"predict {work.plugin.id}", mininterval=1.0) as bar:
        for items in load_batches(source, rows, size):
            counts += work.batch(items)
            bar.update(len(items))
    return counts
