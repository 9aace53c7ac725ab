"""``whycad uncertainty``: measure how far each task's uncertainty can be trusted."""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_tasks_and_packs, positive, say, warn

if TYPE_CHECKING:
    from whycad.audit.evaluation_sets import EvaluationSet
    from whycad.audit.uncertainty_report import TaskReport
    from whycad.audit.uncertainty_run import Rows
    from whycad.plugin import Plugin
    from whycad.registry import Registry

N_FOREIGN = 200


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "uncertainty",
        help="measure calibration, sets, gate and policy of the tasks",
        description="Run every installed task on its held-out rows, on diseases it was never shown, on the other "
        "tasks' images, everyday pictures and noise, and write the figures with intervals as Markdown. Predictions "
        "are kept in --cache and made again only where the task or the data have changed.",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of image packs; $WHYCAD_DATA by default")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.md")
    add_tasks_and_packs(parser)
    parser.add_argument("--cache", type=Path, default=Path(".cache/uncertainty"), metavar="DIR")
    parser.add_argument("--fresh", action="store_true", help="make kept predictions again")
    parser.add_argument("--draws", type=positive, default=1000, metavar="N", help="bootstrap draws (default 1000)")
    parser.add_argument("--foreign", type=positive, default=N_FOREIGN, metavar="N", help="images of each other task")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, write the report, and name what falls short."""
    from whycad.audit.evaluation_sets import TASKS
    from whycad.audit.uncertainty_report import write_report
    from whycad.files import write_whole
    from whycad.registry import discover

    data = data_folder(args.data)
    registry, sets = discover(), _sets(args.pack)
    wanted = args.task or [*TASKS, *sorted({item.task for item in sets} - set(TASKS))]
    reports: list[TaskReport] = []
    skipped: list[tuple[str, str]] = []
    for task in wanted:
        found = _measure(task, registry, sets, data, args)
        if isinstance(found, str):
            skipped.append((task, found))
            say(f"{task}: left out, {found}")
        else:
            reports.append(found)
            unmet = found.unmet()
            say(f"{task}: {'all bounds kept' if not unmet else 'not kept: ' + '; '.join(unmet)}")
    write_whole(args.out, write_report(reports, skipped, _command(args)))
    return int(not reports)


def data_folder(given: Path | None) -> Path:
    """Return the folder of image packs: the given one, or that of ``WHYCAD_DATA``.

    Raises
    ------
    DatasetError
        When there is none.
    """
    from whycad.errors import DatasetError

    folder = given or (Path(os.environ["WHYCAD_DATA"]) if os.environ.get("WHYCAD_DATA") else None)
    if folder is None or not folder.is_dir():
        raise DatasetError("there is no folder of image packs", remedy="name it with --data or WHYCAD_DATA")
    return folder


def _sets(packs: list[tuple[str, Path]]) -> tuple[EvaluationSet, ...]:
    """Return the known sets, the given packs in the place of a task's main one."""
    from whycad.audit.evaluation_sets import SETS, EvaluationSet

    replaced = {task for task, _ in packs}
    kept = [item for item in SETS if item.role != "main" or item.task not in replaced]
    return (*kept, *(EvaluationSet(task, path.stem, path.resolve()) for task, path in packs))


def _measure(
    task: str, registry: Registry, sets: tuple[EvaluationSet, ...], data: Path, args: argparse.Namespace
) -> TaskReport | str:
    """Return a task's figures, or why there are none."""
    from whycad.audit.evaluation_sets import sets_of
    from whycad.audit.uncertainty_audit import Plan, measure
    from whycad.audit.uncertainty_run import Runner
    from whycad.errors import WhyCadError
    from whycad.inference import choose_device, load_members
    from whycad.scoring import calibration_of

    mine = sets_of(task, sets)
    main = next((item for item in mine if item.role == "main"), None)
    if main is None:
        return "no labelled pack is known for it (see --pack)"
    if not main.file(data).is_file():
        return f"there is no {main.file(data).name}"
    try:
        plugin = registry.get(task)
        calibration = calibration_of(plugin)
    except WhyCadError as error:
        return f"it cannot be used here ({error.message})"
    runner = Runner(plugin, load_members(plugin, choose_device(args.device)), args.cache, args.fresh, warn)
    foreign = _foreign(task, registry, sets, data)
    return measure(runner, calibration, Plan(data, mine, foreign, args.draws, args.foreign))


def _foreign(task: str, registry: Registry, sets: tuple[EvaluationSet, ...], data: Path) -> list[Rows]:
    """Open the main sets of the other tasks; each is read by its own task, or plainly where that is not there."""
    from whycad.audit.uncertainty_run import open_rows
    from whycad.errors import WhyCadError

    found = []
    for item in sets:
        if item.task == task or item.role != "main":
            continue
        try:
            found.append(open_rows(item, _reader(item, registry, task), data))
        except WhyCadError as error:
            warn(f"{task}: images of {item.task} are left out ({error.message})")
    return found


def _reader(item: EvaluationSet, registry: Registry, task: str) -> Plugin:
    """Return the plugin that reads a set: its own, untrained if need be, else this task's without its reader."""
    from whycad.errors import WhyCadError

    try:
        return registry.get(item.task, untrained=True)
    except WhyCadError:
        plugin = registry.get(task)
        code = plugin.manifest.code.model_copy(update={"read_row": None})
        return replace(plugin, manifest=plugin.manifest.model_copy(update={"code": code}))


def _command(args: argparse.Namespace) -> str:
    """Return the command that gives this report, by file name."""
    tasks = [part for task in args.task for part in ("--task", task)]
    packs = [part for task, path in args.pack for part in ("--pack", f"{task}={path.name}")]
    foreign = [] if args.foreign == N_FOREIGN else ["--foreign", str(args.foreign)]
    return shlex.join(["whycad", "uncertainty", "--data", "DATA", *tasks, *packs, *foreign, "--out", args.out.name])
