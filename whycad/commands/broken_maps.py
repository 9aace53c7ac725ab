"""``whycad broken-maps``: whether grades tell a task's maps from broken ones, on its simulated samples."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_task, codes, positive, say, warn

if TYPE_CHECKING:
    from whycad.audit.broken_maps import RankReport
    from whycad.masked_cases import MaskedCase
    from whycad.plugin import Plugin


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "broken-maps",
        help="check that grades rank broken maps below right ones",
        description="Explain the task's simulated samples, grade the maps, and grade four broken ones beside them: "
        "a random map, an edge detector's, the map of a wrong label, and another image's.",
    )
    add_task(parser)
    parser.add_argument("--n", type=positive, default=8, help="samples (default 8)")
    parser.add_argument("--methods", type=codes, default=(), help="instead of those that the task offers readers")
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from whycad.audit.broken_maps import rank_broken_maps
    from whycad.audit.map_fidelity import Examiner
    from whycad.errors import DatasetError
    from whycad.inference import choose_device, load_members
    from whycad.map_grades import map_grades_of
    from whycad.registry import discover

    plugin = discover().get(args.task)
    cases = list(_samples(plugin))[: args.n]
    if len(cases) < 2:
        raise DatasetError(f"task {plugin.id!r} has fewer than two simulated samples")
    methods = args.methods or plugin.manifest.explain.methods
    examiner = Examiner(load_members(plugin, choose_device(args.device)), methods, args.seed, warn)
    for line in describe(rank_broken_maps(examiner, cases, map_grades_of(plugin).thresholds)):
        say(line)
    return 0


def _samples(plugin: Plugin) -> Iterator[MaskedCase]:
    from whycad.masked_cases import MaskedCase

    for case in plugin.phantom():
        yield MaskedCase(case.study, case.name, case.region, case.mask, "finding", "simulated samples")


def describe(report: RankReport) -> Iterator[str]:
    """Yield the report in lines for a reader."""
    grades = ", ".join(f"{grade}: {n}" for grade, n in report.best.items())
    yield f"{report.n} simulated samples; grades of their best maps: {grades}"
    for kind, n in report.below.items():
        yield f"{kind:<12} graded below the best map in {n} of {report.n}, fails in {report.failed[kind]}"
    if report.mass:
        mean = sum(report.mass) / len(report.mass)
        yield f"share of the best map's mass inside the finding: {mean:.2f} on average, least {min(report.mass):.2f}"
