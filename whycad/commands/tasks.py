"""``whycad tasks``: which plugins there are and whether they can be used."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, say
from whycad.types import JsonObject

if TYPE_CHECKING:
    from whycad.registry import PluginEntry

COLUMNS = ("task", "version", "status", "evidence", "device", "card", "title")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "tasks",
        help="list the tasks",
        description="List the installed tasks with status, evidence level, device and model card. "
        "No code of theirs is run.",
    )
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="write a list of objects instead of a table")


def run(args: argparse.Namespace) -> int:
    """List every plugin, broken ones with the reason."""
    from whycad.engine import choose_device
    from whycad.registry import discover

    device = str(choose_device(args.device))
    rows = [describe_entry(entry, device) for entry in discover().entries]
    if args.json:
        say(json.dumps(rows, indent=1))
        return 0
    for line in table([COLUMNS, *([str(row[column]) for column in COLUMNS] for row in rows)]):
        say(line)
    for row in rows:
        for note in (row["error"], *row["remarks"]):
            if note:
                say(f"{row['task']}: {note}")
    return 0


def describe_entry(entry: PluginEntry, device: str) -> JsonObject:
    """Return one plugin as plain JSON; texts from its manifest are made printable."""
    manifest = entry.manifest
    return {
        "task": entry.id,
        "version": manifest.version if manifest is not None else "-",
        "status": entry.status,
        "evidence": manifest.evidence_level.value if manifest is not None else "-",
        "device": device if entry.status == "ready" else "-",
        "card": _card(entry),
        "title": printable(entry.title),
        "licence": printable(manifest.licence) if manifest is not None else "",
        "labels": list(manifest.label_codes) if manifest is not None else [],
        "members": len(manifest.weights.files) if manifest is not None else 0,
        "error": printable(entry.error or ""),
        "remarks": [printable(remark) for remark in entry.remarks],
    }


def _card(entry: PluginEntry) -> str:
    if entry.manifest is None or not entry.manifest.model_card:
        return "-"
    problems = [remark for remark in entry.remarks if remark.startswith("model card")]
    return "problem" if problems else printable(entry.manifest.model_card)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of text in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def printable(text: str) -> str:
    """Replace what could steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
