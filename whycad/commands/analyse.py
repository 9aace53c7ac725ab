"""``whycad analyse``: one image or several, predicted and explained."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from whycad.commands._arguments import add_device, add_task, codes, describe, level, say, warn

if TYPE_CHECKING:
    from tqdm import tqdm

    from whycad.inference import Ensemble
    from whycad.pipeline import Hooks
    from whycad.plugin import Plugin
    from whycad.types import AnalysisRequest, AnalysisResult, JsonObject, Study


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "analyse",
        help="predict and explain images",
        description="Predict and explain images (DICOM, PNG, JPEG). Of one file, --json holds one object, --report is "
        "that file and --save that folder. Of several, --json holds a list in the order of the files, in which a file "
        "that failed has an 'error', and reports and folders are numbered: OUT-1.html, OUT-2.html, FOLDER/1, FOLDER/2. "
        "The status is 1 if any file failed; the others are done all the same.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_task(parser)
    parser.add_argument(
        "--explain", type=codes, default=(), metavar="METHODS", help="such as gradcam,ig,occlusion,lime"
    )
    parser.add_argument("--label", default="", metavar="L", help="label code to explain; the predicted one by default")
    parser.add_argument("--coverage", type=level, default=0.9, help="nominal coverage of the set (default 0.9)")
    parser.add_argument("--seed", type=int, default=0, help="of the explanations (default 0)")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--report", type=Path, metavar="OUT.html")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="the whole result, maps included, to load again")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Analyse every file; 1 where one of them failed."""
    from whycad.errors import WhyCadError
    from whycad.files import write_whole

    work = _prepare(args)
    entries: list[JsonObject] = []
    failures = 0
    for index, path in enumerate(args.files, start=1):
        try:
            entries.append(_analyse_file(work, path, index, args))
        except WhyCadError as error:
            warn(f"file {index}: {error}")
            entries.append({"file": index, "error": str(error)})
            failures += 1
    # Of a single file that failed there is nothing to write.
    if args.json is not None and (work.several or not failures):
        write_whole(args.json, json.dumps(entries if work.several else entries[0], indent=1, allow_nan=False) + "\n")
    return int(failures > 0)


@dataclass(frozen=True)
class _Work:
    plugin: Plugin
    ensemble: Ensemble
    request: AnalysisRequest
    several: bool

    def numbered(self, path: Path, index: int) -> Path:
        """Return where the output of file number ``index`` goes."""
        return path.with_name(f"{path.stem}-{index}{path.suffix}") if self.several else path


def _prepare(args: argparse.Namespace) -> _Work:
    """Check what can be checked before the model is loaded, and load it."""
    from whycad.errors import ExplanationError
    from whycad.inference import choose_device, load_members
    from whycad.registry import discover
    from whycad.types import AnalysisRequest

    plugin = discover().get(args.task)
    offered = plugin.manifest.explain.methods
    unknown = [method for method in args.explain if method not in offered]
    if unknown:
        raise ExplanationError(
            f"task {plugin.id!r} does not offer {', '.join(unknown)}", remedy=f"it offers {', '.join(offered)}"
        )
    if args.label:
        plugin.manifest.label(args.label)
    request = AnalysisRequest(args.explain, args.label, None, args.coverage, args.seed)
    return _Work(plugin, load_members(plugin, choose_device(args.device)), request, len(args.files) > 1)


def _analyse_file(work: _Work, path: Path, index: int, args: argparse.Namespace) -> JsonObject:
    from whycad.imaging import read_study
    from whycad.pipeline import analyse
    from whycad.result_io import result_to_json, save_result

    study = read_study(path)
    with _progress_bar(f"file {index}") as hooks:
        result = analyse(study, work.plugin, work.request, ensemble=work.ensemble, hooks=hooks)
    say(_summary(index, result, work.plugin))
    if args.save is not None:
        save_result(result, args.save / str(index) if work.several else args.save)
    if args.report is not None:
        _write_report(work.numbered(args.report, index), result, study, work.plugin)
    return result_to_json(result)


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


def _summary(index: int, result: AnalysisResult, plugin: Plugin) -> str:
    prediction, manifest = result.prediction, plugin.manifest
    decision = ": ".join(
        part for part in (prediction.decision.kind.value, " ".join(prediction.decision.reasons)) if part
    )
    head = f"file {index} ({result.study_sha256[:12]}): "
    if not prediction.predicted:
        return head + decision
    name = describe(manifest, prediction.predicted)
    share = f"{prediction.probability(prediction.predicted):.1%}"
    several = ", ".join(prediction.conformal_set)
    return f"{head}{name}, {share}; {prediction.coverage:.0%} set: {several}; {decision}"
