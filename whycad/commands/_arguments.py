"""Argument types and output that several commands share."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.datasets.condition import Condition

if TYPE_CHECKING:
    from whycad.manifest import Manifest


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def level(text: str) -> float:
    """Parse a nominal coverage between 0.5 and 0.999."""
    number = float(text)
    if not 0.5 <= number <= 0.999:
        raise argparse.ArgumentTypeError("must be between 0.5 and 0.999")
    return number


def condition(text: str) -> Condition:
    """Parse ``column=value`` or ``column!=value``."""
    try:
        return Condition.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_where(parser: argparse.ArgumentParser, rows: str) -> None:
    """Add ``--where``, which leaves some of ``rows``."""
    parser.add_argument(
        "--where",
        type=condition,
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help=f"only {rows} whose column has (=) or has not (!=) this value; repeatable, all must hold",
    )


def numbers(text: str) -> tuple[float, ...]:
    """Parse finite numbers separated by commas."""
    found = tuple(float(part) for part in text.split(","))
    if not all(math.isfinite(value) for value in found):
        raise argparse.ArgumentTypeError("must be finite numbers")
    return found


def codes(text: str) -> tuple[str, ...]:
    """Parse a list separated by commas, without repeats."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def add_task(parser: argparse.ArgumentParser) -> None:
    """Add ``--task``."""
    parser.add_argument("--task", required=True, metavar="T", help="task id, see `whycad tasks`")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:N; automatic by default")


def describe(manifest: Manifest, code: str) -> str:
    """Return a label's name for a reader, or a dash where there is none."""
    return manifest.label(code).name if code else "-"


def say(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")


def warn(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def pack_of_a_task(text: str) -> tuple[str, Path]:
    """Parse ``task=path``."""
    task, sign, path = text.partition("=")
    if not sign or not task or not path:
        raise argparse.ArgumentTypeError("must be TASK=PACK.npz")
    return task, Path(path)


def add_tasks_and_packs(parser: argparse.ArgumentParser) -> None:
    """Declare the choice of tasks that are measured, and of the packs that they are judged on."""
    parser.add_argument("--task", action="append", default=[], metavar="T", help="only this task; repeatable")
    parser.add_argument(
        "--pack",
        type=pack_of_a_task,
        action="append",
        default=[],
        metavar="TASK=PACK.npz",
        help="judge a task on this pack instead; repeatable. A simulated task has no pack of its own",
    )
