"""``whycad qa``: test the audit itself on simulated sets with a known fault."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import positive, say, warn

if TYPE_CHECKING:
    from whycad.audit.qa.figures import QaFigures
    from whycad.audit.qa.one_set import SetResult

FIGURES_FILE = "qa.json"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "qa",
        help="test the audit on simulated sets with a known fault",
        description="Make simulated sets with a planted shortcut of known strength, or a leak, or nothing at all; "
        "train small networks on them, audit them, and count what each check finds and how often it warns of nothing.",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of all results")
    parser.add_argument("--resume", action="store_true", help="go on with what is in --out")
    parser.add_argument(
        "--sets", type=positive, default=6, metavar="N", help="sets per artefact and strength (default 6)"
    )
    parser.add_argument("--quick", action="store_true", help="a few sets of a few kinds, to try it out")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="sets at a time (default 1)")
    parser.add_argument("--keep", action="store_true", help="keep each set, its network and its whole audit")
    parser.add_argument("--document", type=Path, metavar="OUT.md", help="also write the page of what was found")
    parser.add_argument("--store", action="store_true", help="also store the figures that audits' reports cite")


def run(args: argparse.Namespace) -> int:
    """Run the sets, write the figures, and name the bars that are not kept."""
    from whycad.audit.qa.document import qa_page, unmet
    from whycad.audit.qa.harness import run_sets
    from whycad.audit.qa.one_set import QaOptions
    from whycad.audit.qa.plan import plan_sets
    from whycad.audit.qa.trusted import STORED
    from whycad.errors import StoreError
    from whycad.files import write_whole

    if (args.out / "results").exists() and not args.resume:
        raise StoreError(f"{args.out.name!r} holds results", remedy="choose another --out, or add --resume")
    args.out.mkdir(parents=True, exist_ok=True)
    specs = plan_sets(args.sets, quick=args.quick)
    figures = _figures(run_sets(specs, QaOptions(args.out, keep=args.keep), jobs=args.jobs, told=warn), args)
    text = figures.model_dump_json(indent=1) + "\n"
    targets = [(args.out / FIGURES_FILE, text)]
    targets += [(STORED, text)] if args.store else []
    targets += [(args.document, qa_page(figures))] if args.document else []
    for path, content in targets:
        write_whole(path, content)
        say(f"wrote {path.name}")
    _say_verdict(figures, unmet(figures))
    return int(figures.n_failed == len(specs))


def _figures(results: list[SetResult], args: argparse.Namespace) -> QaFigures:
    from datetime import UTC, datetime

    from whycad import __version__
    from whycad.audit.qa.figures import figures_of

    kind = ["--quick"] if args.quick else ["--sets", str(args.sets)]
    return figures_of(
        results,
        command=shlex.join(["whycad", "qa", *kind, "--out", args.out.name]),
        code_version=__version__,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _say_verdict(figures: QaFigures, missed: list[str]) -> None:
    say(f"{figures.n_sets} sets, {figures.n_failed} failed, {figures.seconds_per_set:.0f} s each")
    for line in missed:
        say(f"  not kept: {line}")
    if not missed:
        say("  all bars are kept as counted")
