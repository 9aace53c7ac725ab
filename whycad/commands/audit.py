"""``whycad audit``: is a model right, and for the right reason."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_task, add_where, codes, positive, say, warn

if TYPE_CHECKING:
    from whycad.audit.findings import Audit


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "audit",
        help="audit a model on a data set",
        description="Measure how good a task's model is on a data set, for whom, how calibrated, which shortcuts it "
        "takes, whether the data leak, and how far its maps can be trusted. Exit status 0 whatever was found.",
    )
    add_task(parser)
    add_audit_arguments(parser)
    parser.add_argument("--split", default="", metavar="NAME", help="rows for checks of the model; all by default")
    add_where(parser, "rows of these")
    add_device(parser)


def add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what both audits share."""
    parser.add_argument(
        "--dataset", "--table", required=True, type=Path, metavar="PATH", help="pack, table, folder or DICOM tree"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for all that it writes")
    parser.add_argument("--checks", type=codes, default=(), metavar="ID,ID", help="only these; all by default")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where batches are computed")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of computed chunks; in --out by default")
    parser.add_argument("--resume", action="store_true", help="go on with what is in --out")
    parser.add_argument("--draws", type=positive, default=1000, metavar="N", help="bootstrap draws (default 1000)")
    parser.add_argument("--perturbed", type=positive, default=200, metavar="N", help="most images that are changed")
    parser.add_argument("--explained", type=positive, default=60, metavar="N", help="most images that get maps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-pdf", action="store_true", help="leave report.pdf out; report.html is always written")
    parser.add_argument("--purpose", default="audit", help="why this split is evaluated, for the ledger")


def run(args: argparse.Namespace) -> int:
    """Audit and print the verdict."""
    from whycad.audit.context import AuditOptions
    from whycad.audit.run.runner import AUDIT_FILE, AuditRequest, run_audit
    from whycad.errors import StoreError

    if (args.out / AUDIT_FILE).exists() and not args.resume:
        raise StoreError(f"{args.out.name!r} holds an audit", remedy="choose another --out, or add --resume")
    audit = run_audit(
        AuditRequest(
            dataset=args.dataset,
            out=args.out,
            task=getattr(args, "task", ""),
            split=getattr(args, "split", ""),
            where=tuple(map(str, getattr(args, "where", ()))),
            checks=args.checks,
            engine=args.engine,
            cache=args.cache,
            device=getattr(args, "device", None) or "",
            command=_command(args),
            pdf=not args.no_pdf,
            options=AuditOptions(args.seed, args.draws, args.perturbed, args.explained, purpose=args.purpose),
            told=warn,
        )
    )
    say_verdict(audit, args.out)
    return 0


def _command(args: argparse.Namespace) -> str:
    task = ["--task", args.task] if getattr(args, "task", "") else []
    split = ["--split", args.split] if getattr(args, "split", "") else []
    checks = ["--checks", ",".join(args.checks)] if args.checks else []
    where = [part for wanted in getattr(args, "where", ()) for part in ("--where", str(wanted))]
    what = ["--dataset", args.dataset.name, *split, *where, *checks]
    numbers = ["--draws", str(args.draws), "--perturbed", str(args.perturbed), "--explained", str(args.explained)]
    return shlex.join(
        ["whycad", args.command, *task, *what, *numbers, "--seed", str(args.seed), "--out", args.out.name]
    )


def say_verdict(audit: Audit, out: Path) -> None:
    """Print the findings, the most worrying first."""
    from whycad.audit.words import VERDICT_ORDER, VERDICTS, area, in_verdict_order, verdict_counts
    from whycad.wording import printable

    counts = [f"{n} {VERDICTS[severity]}" for severity, n in verdict_counts(audit.findings).items()]
    say(f"{', '.join(counts)}; {len(audit.failed)} cases failed")
    for finding in in_verdict_order(audit.findings):
        if finding.severity in VERDICT_ORDER[:2]:
            say(f"  {VERDICTS[finding.severity]:11s} {area(finding.check)}: {printable(finding.message, 500)}")
    say(f"wrote {out.name}")
