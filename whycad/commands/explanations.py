"""``whycad explanations``: test every task's explanation methods and set the thresholds of their grades."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, codes, positive, say, warn

if TYPE_CHECKING:
    from whycad.map_grades import MapGrades
    from whycad.masked_cases import MaskedCase, Part
    from whycad.plugin import Plugin
    from whycad.registry import Registry

N_REPORT, N_CALIBRATION = 60, 24
# Left out of calibration, whose thresholds hold for all methods.
SLOW = ("lime", "kernel_shap", "rise")
REPORT_ON = {"real": "held-out data", "simulated": "simulated data that nothing was trained on"}
CALIBRATED_ON = {"real": "the calibration fold of `train`", "simulated": "simulated data drawn as for calibration"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "explanations",
        help="test the explanation methods of the tasks",
        description="Make maps of many cases of each task, test them against random orderings, an edge detector, "
        "random weights, noise and outlines, set the thresholds of the grades on calibration cases, store both beside "
        "the plugin (the file that plugin.toml names in [explain] grades), and write the document anew from what all "
        "tasks have stored.",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of image packs; $WHYCAD_DATA by default")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.md")
    parser.add_argument("--task", action="append", default=[], metavar="T", help="measure only this task; repeatable")
    parser.add_argument("--n", type=positive, default=N_REPORT, help=f"cases to report on (default {N_REPORT})")
    parser.add_argument(
        "--n-calibration", type=positive, default=N_CALIBRATION, help=f"for thresholds (default {N_CALIBRATION})"
    )
    parser.add_argument("--methods", type=codes, default=(), help="instead of those that the task offers readers")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of cases and of the maps (default 0)")
    parser.add_argument("--document-only", action="store_true", help="measure nothing; write the document")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, store, and write the document."""
    from whycad.files import write_whole
    from whycad.map_tables import document
    from whycad.registry import discover
    from whycad.wording import METHOD_NAMES

    registry = discover()
    tasks = _tasks(registry)
    for plugin in tasks:
        if not args.document_only and (not args.task or plugin.id in args.task):
            _measure_and_store(plugin, args)
    stored = [(plugin.manifest, _stored(plugin)) for plugin in tasks]
    write_whole(args.out, document(stored, METHOD_NAMES))
    say(f"wrote {args.out.name}")
    return 0


def _tasks(registry: Registry) -> list[Plugin]:
    """Return the tasks that name a file for their grades, those that work."""
    plugins = [registry.get(entry.id) for entry in registry.entries if entry.status == "ready"]
    return [plugin for plugin in plugins if plugin.manifest.explain.grades]


def _stored(plugin: Plugin) -> MapGrades:
    from whycad.map_grades import map_grades_of

    return map_grades_of(plugin)


def _measure_and_store(plugin: Plugin, args: argparse.Namespace) -> None:
    from whycad.audit.map_fidelity import Examiner, fit_thresholds
    from whycad.audit.map_fidelity_figures import method_figures
    from whycad.files import write_whole
    from whycad.inference import choose_device, load_members
    from whycad.map_grades import MapGrades, Provenance, grades_path

    path = grades_path(plugin)
    assert path is not None
    methods = args.methods or plugin.manifest.explain.methods
    examiner = Examiner(load_members(plugin, choose_device(args.device)), methods, args.seed, warn)
    quick = replace(examiner, methods=tuple(m for m in methods if m not in SLOW) or methods)
    calibration = [quick.maps_of(case) for case in _cases(plugin, "calibration", args.n_calibration, args)]
    thresholds = fit_thresholds(calibration, warn)
    cases = _cases(plugin, "report", args.n, args)
    rows = list(examiner.measure(cases, thresholds))
    by_method = {method: [row for row in rows if row.method == method] for method in methods}
    outlined = next((case for case in cases if case.mask is not None), None)
    level = plugin.manifest.evidence_level.value
    stored = MapGrades(
        thresholds=thresholds,
        inside_of="" if outlined is None else outlined.of,
        inside_cases="" if outlined is None else outlined.called,
        methods={m: method_figures(found, thresholds, args.seed) for m, found in by_method.items() if found},
        source=Provenance(
            weights_sha256=plugin.weights_sha256,
            report_on=REPORT_ON[level],
            calibrated_on=CALIBRATED_ON[level],
            n_calibration=len(calibration),
            n_report=len(cases),
            seed=args.seed,
            command=_command(plugin, args),
        ),
    )
    write_whole(path, stored.model_dump_json(indent=1) + "\n")
    say(f"{plugin.id}: {len(cases)} cases, stored in {path.name}")


def _cases(plugin: Plugin, part: Part, n: int, args: argparse.Namespace) -> list[MaskedCase]:
    from whycad.commands.uncertainty import data_folder
    from whycad.errors import DatasetError
    from whycad.masked_cases import masked_cases

    found = list(masked_cases(plugin, data_folder(args.data), part, n, args.seed))
    if not found:
        raise DatasetError(
            f"task {plugin.id!r} offers no cases to test maps on", remedy="name code.masked_cases in plugin.toml"
        )
    return found


def _command(plugin: Plugin, args: argparse.Namespace) -> str:
    """Return the command that gives these figures, by file name."""
    more = ["--methods", ",".join(args.methods)] if args.methods else []
    numbers = ["--n", str(args.n), "--n-calibration", str(args.n_calibration), "--seed", str(args.seed)]
    return shlex.join(
        ["whycad", "explanations", "--data", "DATA", "--task", plugin.id, *numbers, *more, "--out", args.out.name]
    )
