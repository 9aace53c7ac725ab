"""``whycad audit-data``: what a data set alone gives away: shortcuts, leaks, duplicates, doubtful labels."""

from __future__ import annotations

import argparse

from whycad.commands import audit


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "audit-data",
        help="audit a data set without a model",
        description="Look for labels that follow subject, site or source, for duplicates within and across splits, for "
        "metadata and trivial features that tell the label, for doubtful labels and outliers. No model is needed.",
    )
    audit.add_audit_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Audit and print the verdict."""
    return audit.run(args)
