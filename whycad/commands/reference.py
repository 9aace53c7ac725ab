"""``whycad reference``: make a task's reference distributions from calibration cases."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_task, positive, say

if TYPE_CHECKING:
    from whycad.plugin import Plugin
    from whycad.reference import Reference, ReferenceSource
    from whycad.reference_cases import ReferenceCase
    from whycad.reference_fit import Collected


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "reference",
        help="make a task's reference distributions",
        description="Measure calibration cases and store, by measurement and label, how the values are distributed. "
        "The cases are those of the task's own reference_cases, or the labelled rows of a pack.",
    )
    add_task(parser)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR", help="folder of packs")
    parser.add_argument("--dataset", type=Path, metavar="PACK", help="a pack instead of the task's own cases")
    parser.add_argument("--split", metavar="S", help="only rows of this split of --dataset; never the test split")
    parser.add_argument("--n", type=positive, metavar="N", help="only the first N cases")
    parser.add_argument("--out", type=Path, metavar="OUT.json", help="the file that plugin.toml names by default")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, write the file and say what is established."""
    from tqdm import tqdm

    from whycad.errors import ManifestError
    from whycad.files import write_whole
    from whycad.inference import choose_device, load_members
    from whycad.reference import reference_text
    from whycad.reference_fit import collect, fit_reference
    from whycad.registry import discover

    plugin = discover().get(args.task)
    out = args.out or plugin.reference_path()
    if out is None:
        raise ManifestError(f"{plugin.label}: plugin.toml names no reference file", remedy="add [reference], or --out")
    ensemble = load_members(plugin, choose_device(args.device))
    cases = tqdm(itertools.islice(_cases(args, plugin), args.n), unit="case", disable=None)
    found = collect(cases, ensemble)
    reference = fit_reference(found, _source(args, plugin, found), plugin.manifest.label_codes)
    write_whole(out, reference_text(reference))
    _print(reference)
    return 0


def _cases(args: argparse.Namespace, plugin: Plugin) -> Iterator[ReferenceCase]:
    from whycad.datasets.source import open_source
    from whycad.reference_cases import labelled_cases

    if args.dataset is None:
        return plugin.reference_cases(args.data)
    source = open_source(args.dataset, plugin.manifest, read_row=plugin.row_reader)
    return labelled_cases(source, args.split, plugin.manifest.label_codes)


def _source(args: argparse.Namespace, plugin: Plugin, found: Collected) -> ReferenceSource:
    from whycad.reference import ReferenceSource
    from whycad.scoring import calibration_of
    from whycad.types import EvidenceLevel

    calibrated = calibration_of(plugin).source
    model = plugin.manifest.evidence_model
    own = args.dataset is None
    seen = found.n + found.n_refused
    part = f"; {seen} of its {calibrated.n} cases" if seen < calibrated.n else ""
    return ReferenceSource(
        dataset=calibrated.dataset if own else args.dataset.stem,
        selection=f"{calibrated.selection}{part}" if own else (args.split or "all rows"),
        n=found.n,
        n_refused=found.n_refused,
        simulated=found.simulated or plugin.manifest.evidence_level is EvidenceLevel.SIMULATED,
        weights_sha256=plugin.weights_sha256,
        evidence_model_sha256="" if model is None else model.sha256,
    )


def _print(reference: Reference) -> None:
    source = reference.source
    kind = ", simulated data" if source.simulated else ""
    say(f"{source.dataset}, {source.selection}: {source.n} cases measured, {source.n_refused} refused{kind}")
    for key, item in (*reference.measurements.items(), *reference.concepts.items()):
        parts = [
            f"{code} {found.quantiles[50]:.3g} (n {found.n})"
            if found.established
            else f"{code} n {found.n}, not established"
            for code, found in item.labels.items()
        ]
        say(f"  {key:24s} median by label: {'; '.join(parts)}")
