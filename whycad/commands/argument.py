"""``whycad argument``: measure the reference distributions and the line of argument of the tasks."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_tasks_and_packs, positive, say

if TYPE_CHECKING:
    from whycad.audit.argument_figures import ArguedCase
    from whycad.audit.evaluation_sets import EvaluationSet
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin
    from whycad.types import JsonObject

N_CASES = 300
INTRODUCTION = """# Evidence and the line of argument

Measurements, their distributions in the calibration cases of each label, and what the line of argument says on held-out
cases. Made by `{command}`.

A finding compares one measurement, or one descriptor as the model rates it, of the leading label with its runner-up
(the neighbour, in an ordinal task) by their likelihood ratio near the value. Findings come from the image and from the
same image's prediction; they explain an answer and do not test it. A map is held against the outline; where map and
measurements go opposite ways, that is said first. The thresholds of both are chosen, not fitted.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "argument",
        help="measure the line of argument of the tasks",
        description="Analyse held-out cases with one map each, and count findings and conflicts where the label is "
        "right and where it is wrong; write them with the reference distributions as Markdown.",
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR", help="folder of packs")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.md")
    add_tasks_and_packs(parser)
    parser.add_argument("--n", type=positive, default=N_CASES, help=f"cases of each task (default {N_CASES})")
    parser.add_argument("--method", default="gradcam", metavar="M", help="map to hold against the outline")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of cases (default 0)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure the tasks and write the page."""
    from whycad.audit.evaluation_sets import TASKS
    from whycad.files import write_whole

    sections = [_section(task, args) for task in args.task or TASKS]
    write_whole(args.out, "\n".join([INTRODUCTION.format(command=_command(args)), *sections]))
    return 0


def _command(args: argparse.Namespace) -> str:
    packs = [part for task, path in args.pack for part in ("--pack", f"{task}={path.name}")]
    tasks = [part for task in args.task for part in ("--task", task)]
    return shlex.join(
        ["whycad", "argument", "--data", "DIR", *tasks, *packs, "--n", str(args.n), "--out", args.out.name]
    )


def _section(task: str, args: argparse.Namespace) -> str:
    from whycad.registry import discover

    plugin = discover().get(task)
    lines = [f"## {plugin.manifest.title}", "", _reference_text(plugin), ""]
    chosen = _set_of(task, args)
    if chosen is None:
        return "\n".join([*lines, "No labelled pack is known for it, so the line of argument is not measured.", ""])
    figures = _figures(plugin, chosen, args)
    say(f"{task}: {figures['n']} cases, {figures['n_wrong']} of them with a wrong label")
    return "\n".join([*lines, _figures_text(chosen.name, figures, args.method), ""])


def _set_of(task: str, args: argparse.Namespace) -> EvaluationSet | None:
    from whycad.audit.evaluation_sets import EvaluationSet, sets_of

    given = next((path for name, path in args.pack if name == task), None)
    if given is not None:
        return EvaluationSet(task, given.stem, given.resolve())
    return next((item for item in sets_of(task) if item.role == "main"), None)


def _reference_text(plugin: Plugin) -> str:
    from whycad.audit.argument_figures import reference_rows
    from whycad.card_blocks import table
    from whycad.reference import reference_of

    reference = reference_of(plugin)
    if reference is None:
        return "No reference distributions of the present weights."
    codes, source = plugin.manifest.label_codes, reference.source
    kind = " Simulated data." if source.simulated else ""
    note = f"{source.dataset}, {source.selection}: {source.n} cases.{kind} Median (5th to 95th percentile)."
    return f"{note}\n\n{table(['Measurement', *codes], reference_rows(reference, codes))}"


@dataclass(frozen=True, eq=False)
class _Rows:
    chosen: EvaluationSet
    plugin: Plugin
    ensemble: Ensemble
    args: argparse.Namespace

    def argued(self) -> Iterator[ArguedCase]:
        """Analyse cases in random order until there are enough; what gets no answer is passed over."""
        import numpy as np
        from tqdm import tqdm

        from whycad.audit.argument_figures import argued_case
        from whycad.datasets.source import open_source
        from whycad.pipeline import analyse
        from whycad.types import AnalysisRequest
        from whycad.wording import shows_answer

        source = open_source(self.chosen.file(self.args.data), self.plugin.manifest, read_row=self.plugin.row_reader)
        rows = [row for row in source.rows(self.chosen.split) if source.info(row).label]
        rows = [
            row for row in rows if all(source.cell(n, row).casefold() == v.casefold() for n, v in self.chosen.where)
        ]
        order = np.random.default_rng(self.args.seed).permutation(rows)[: self.args.n]
        for row in tqdm([int(row) for row in order], unit="case", disable=None):
            study, region = source.case(row)
            request = AnalysisRequest(explain=(self.args.method,), region=region)
            result = analyse(study, self.plugin, request, ensemble=self.ensemble)
            if shows_answer(result):
                yield argued_case(result, source.info(row).label, source.info(row).group)


def _figures(plugin: Plugin, chosen: EvaluationSet, args: argparse.Namespace) -> JsonObject:
    from whycad.audit.argument_figures import argument_figures
    from whycad.errors import DatasetError
    from whycad.inference import choose_device, load_members

    ensemble = load_members(plugin, choose_device(args.device))
    cases = list(_Rows(chosen, plugin, ensemble, args).argued())
    if not cases:
        raise DatasetError(f"{chosen.name}: no labelled case got an answer")
    return argument_figures(cases)


def _figures_text(name: str, figures: JsonObject, method: str) -> str:
    from whycad.audit.argument_figures import HEADLINES
    from whycad.card_blocks import number, table
    from whycad.wording import NOT_ESTABLISHED, method_name

    rows = [
        [title, NOT_ESTABLISHED if figures[key]["value"] is None else number(figures[key]), str(figures[key]["n"])]
        for key, title in HEADLINES.items()
    ]
    note = (
        f"{name}: {figures['n']} cases of {figures['n_groups']} groups, {figures['n_wrong']} with a wrong label; map: "
        f"{method_name(method)}. 95 % intervals by group."
    )
    return f"{note}\n\n{table(['Figure', 'Value', 'n'], rows)}"
