"""``whycad audit-report``: write an audit's report again from its JSON, a summary of it, or the schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from whycad.commands._arguments import say, warn


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "audit-report",
        help="write an audit's report again",
        description="Write report.html and the tables of an audit again from its JSON, without a model and without the "
        "data; also a PDF, a summary for publication, or the schema of the JSON.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="folder of a finished audit")
    source.add_argument("--schema", type=Path, metavar="OUT", help="write the JSON schema of audits, and nothing else")
    parser.add_argument("--pdf", action="store_true", help="make report.pdf too")
    parser.add_argument("--without-pictures", action="store_true", help="leave the data set's images out")
    parser.add_argument(
        "--summary", type=Path, metavar="OUT.md", help="write only a summary in Markdown, without images and case ids"
    )
    parser.add_argument(
        "--for-task",
        type=Path,
        metavar="OUT.json",
        help="write only what the Case view says of shortcuts, for the file that [audit] summary names in plugin.toml",
    )


def run(args: argparse.Namespace) -> int:
    """Write what was asked for."""
    if args.schema is not None:
        return _write_schema(args.schema)
    if args.summary is not None:
        return _write_summary(args.folder, args.summary)
    if args.for_task is not None:
        return _write_for_task(args.folder, args.for_task)
    return _write_report(args)


def _write_for_task(folder: Path, out: Path) -> int:
    from whycad.audit.case_lines import summary_of
    from whycad.audit.run.runner import read_audit
    from whycad.errors import DatasetError
    from whycad.files import write_whole

    summary = summary_of(read_audit(folder))
    if summary is None:
        raise DatasetError(
            f"the audit in {folder.name!r} says nothing of shortcuts of a task",
            remedy="audit a task on real data, with the checks of shortcuts",
        )
    write_whole(out, summary.model_dump_json(indent=1) + "\n")
    say(f"wrote {out.name}: {len(summary.findings)} findings")
    return 0


def _write_schema(out: Path) -> int:
    from whycad.audit.report.schema import audit_schema
    from whycad.files import write_whole

    write_whole(out, audit_schema())
    say(f"wrote {out.name}")
    return 0


def _write_summary(folder: Path, out: Path) -> int:
    from whycad.audit.report.summary import markdown_summary
    from whycad.audit.run.runner import read_audit, read_results
    from whycad.files import write_whole

    audit = read_audit(folder)
    write_whole(out, markdown_summary(audit, read_results(folder, audit)))
    say(f"wrote {out.name}")
    return 0


def _write_report(args: argparse.Namespace) -> int:
    from whycad.audit.report.writing import HTML_FILE, PDF_FILE, ReportOptions, write_report
    from whycad.audit.run.runner import read_audit, read_results

    audit = read_audit(args.folder)
    options = ReportOptions(pdf=args.pdf, with_pictures=not args.without_pictures)
    missing = write_report(audit, read_results(args.folder, audit), args.folder, options)
    say(f"wrote {HTML_FILE}{f' and {PDF_FILE}' if args.pdf and not missing else ''} in {args.folder.name}")
    if missing:
        warn(f"no {PDF_FILE}: {missing}")
    return 1 if missing else 0
