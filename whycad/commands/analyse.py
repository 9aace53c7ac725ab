"""``whycad analyse``: images and volumes, predicted and explained."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from whycad.commands._arguments import add_device, add_task, codes, describe, level, numbers, say, warn

if TYPE_CHECKING:
    from tqdm import tqdm

    from whycad.imaging import StudyItem
    from whycad.inference import Ensemble
    from whycad.pipeline import Hooks
    from whycad.plugin import Plugin
    from whycad.types import AnalysisRequest, AnalysisResult, JsonObject, Region, Study


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "analyse",
        help="predict and explain images and volumes",
        description="Predict and explain images and volumes (DICOM, PNG, JPEG; files, folders and ZIP archives, whose "
        "slices of one series become one volume). Of one image, --json holds one object, --report is that file and "
        "--save that folder. Of several, --json holds a list in which one that failed has an 'error', and reports and "
        "folders are numbered: OUT-1.html, OUT-2.html, FOLDER/1, FOLDER/2. The status is 1 if any failed; the others "
        "are done all the same.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    pointing = parser.add_mutually_exclusive_group()
    pointing.add_argument(
        "--point",
        type=numbers,
        metavar="Z,Y,X",
        help="what to look at: slice, row, column from 0; row,column of an image",
    )
    pointing.add_argument(
        "--point-mm",
        type=numbers,
        metavar="X,Y,Z",
        help="the same in the patient's coordinates, mm; with =, as in --point-mm=-12,30,85",
    )
    add_task(parser)
    parser.add_argument(
        "--explain",
        type=codes,
        default=(),
        metavar="METHODS",
        help="such as gradcam,ig,occlusion,lime; any that fits the task, not only those that readers are offered",
    )
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--label",
        default="",
        metavar="L",
        help="what to explain: a label code (the predicted one by default), '>=F2' for a boundary of an ordinal task, "
        "or 'mel/nv' for one label rather than another",
    )
    asked.add_argument(
        "--each-way", action="store_true", help="of a set of two labels explain each rather than the other"
    )
    parser.add_argument(
        "--stop-when-stable",
        action="store_true",
        help="LIME and KernelSHAP draw no more samples once the ranking of the superpixels is stable; the map's "
        "parameters say how many were used",
    )
    parser.add_argument("--no-grades", action="store_true", help="do not test and grade the maps")
    parser.add_argument("--coverage", type=level, default=0.9, help="nominal coverage of the set (default 0.9)")
    parser.add_argument("--seed", type=int, default=0, help="of the explanations (default 0)")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--report", type=Path, metavar="OUT.html")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="the whole result, maps included, to load again")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Analyse every image; 1 where one of them failed."""
    from whycad.errors import WhyCadError
    from whycad.files import write_whole
    from whycad.imaging import read_studies

    work = _prepare(args)
    items = read_studies(args.files)
    work = replace(work, several=len(items) > 1)
    entries: list[JsonObject] = []
    failures = 0
    for index, item in enumerate(items, start=1):
        try:
            entries.append(_analyse_item(work, item, index, args))
        except WhyCadError as error:
            name = _name(item, index)
            warn(f"{name}: {error}")
            entries.append({"file": item.sources[0] + 1, "error": str(error)})
            failures += 1
    # Of a single image that failed there is nothing to write.
    if args.json is not None and (work.several or not failures):
        write_whole(args.json, json.dumps(entries if work.several else entries[0], indent=1, allow_nan=False) + "\n")
    return int(failures > 0)


@dataclass(frozen=True)
class _Work:
    plugin: Plugin
    ensemble: Ensemble
    request: AnalysisRequest
    several: bool = False

    def numbered(self, path: Path, index: int) -> Path:
        """Return where the output of image number ``index`` goes."""
        return path.with_name(f"{path.stem}-{index}{path.suffix}") if self.several else path


def _name(item: StudyItem, index: int) -> str:
    """Name an image by its files' places on the command line, never by their names."""
    first, last = item.sources[0] + 1, item.sources[-1] + 1
    if first == last:
        return f"file {first}" if first == index else f"image {index} (file {first})"
    return f"image {index} (files {first} to {last})"


def _prepare(args: argparse.Namespace) -> _Work:
    """Check what can be checked before the model is loaded, and load it."""
    from whycad.errors import ExplanationError
    from whycad.explain import fitting_methods
    from whycad.inference import choose_device, load_members
    from whycad.registry import discover
    from whycad.targets import target_of
    from whycad.types import AnalysisRequest

    plugin = discover().get(args.task)
    offered = fitting_methods(plugin.manifest.explain) if args.explain else ()
    unknown = [method for method in args.explain if method not in offered]
    if unknown:
        raise ExplanationError(
            f"task {plugin.id!r} does not offer {', '.join(unknown)}", remedy=f"it offers {', '.join(offered)}"
        )
    if args.label:
        target_of(args.label, plugin.manifest)
    request = AnalysisRequest(
        explain=args.explain,
        target=args.label,
        coverage=args.coverage,
        seed=args.seed,
        each_way=args.each_way,
        grade=not args.no_grades,
        stop_when_stable=args.stop_when_stable,
    )
    return _Work(plugin, load_members(plugin, choose_device(args.device)), request)


def _analyse_item(work: _Work, item: StudyItem, index: int, args: argparse.Namespace) -> JsonObject:
    from whycad.pipeline import analyse
    from whycad.result_io import result_to_json, save_result

    if item.study is None:
        assert item.error is not None
        raise item.error
    request = replace(work.request, region=_region(item.study, args))
    name = _name(item, index)
    with _progress_bar(name) as hooks:
        result = analyse(item.study, work.plugin, request, ensemble=work.ensemble, hooks=hooks)
    say(_summary(name, result, work.plugin))
    if args.save is not None:
        save_result(result, args.save / str(index) if work.several else args.save)
    if args.report is not None:
        _write_report(work.numbered(args.report, index), result, item.study, work.plugin)
    return result_to_json(result)


def _region(study: Study, args: argparse.Namespace) -> Region | None:
    """Return the point that the command line names, in source pixels."""
    import numpy as np

    from whycad.errors import GeometryError
    from whycad.imaging.geometry import from_patient_mm
    from whycad.types import Region

    if args.point is not None:
        return Region(args.point)
    if args.point_mm is None:
        return None
    if len(args.point_mm) != 3:
        raise GeometryError("--point-mm takes three numbers, x,y,z")
    index = from_patient_mm(study, np.asarray([args.point_mm]))[0]
    return Region(tuple(float(value) for value in index))


def _write_report(path: Path, result: AnalysisResult, study: Study, plugin: Plugin) -> None:
    from whycad.files import write_whole
    from whycad.performance import read_performance
    from whycad.report import ReportContent, html_report

    write_whole(path, html_report(ReportContent(result, study, plugin.manifest, read_performance(plugin.folder))))


@contextmanager
def _progress_bar(name: str) -> Iterator[Hooks]:
    from tqdm import tqdm

    from whycad.pipeline import Hooks

    with tqdm(total=100, desc=name, unit="%", bar_format="{desc}: {percentage:3.0f}%|{bar}| {postfix}") as bar:
        yield Hooks(progress=lambda step: _advance(bar, step.fraction, step.message))


def _advance(bar: tqdm[NoReturn], fraction: float, message: str) -> None:
    bar.set_postfix_str(message, refresh=False)
    bar.update(round(100 * fraction) - bar.n)


def _summary(name: str, result: AnalysisResult, plugin: Plugin) -> str:
    prediction, manifest = result.prediction, plugin.manifest
    decision = ": ".join(
        part for part in (prediction.decision.kind.value, " ".join(prediction.decision.reasons)) if part
    )
    head = f"{name} ({result.study_sha256[:12]}{', simulated data' if result.simulated else ''}): "
    if not prediction.predicted:
        return head + decision
    label = describe(manifest, prediction.predicted)
    share = f"{prediction.probability(prediction.predicted):.1%}"
    several = ", ".join(prediction.conformal_set)
    return f"{head}{label}, {share}; {prediction.coverage:.0%} set: {several}; {decision}"
