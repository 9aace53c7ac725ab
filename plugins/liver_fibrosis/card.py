"""The card's tables of oracle and gate: ``python -m plugins.liver_fibrosis.card`` writes them from stored figures.

``whycad card`` makes the rest of the card and leaves these tables as they are.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plugins.liver_fibrosis.rows import PLUGIN_FOLDER
from whycad.errors import ManifestError, WhyCadError
from whycad.files import write_whole
from whycad.plugin import load_plugin
from whycad.types import JsonObject

POINTS = {"at_least_f1": "at least F1", "at_least_f2": "at least F2", "at_least_f3": "at least F3", "f4": "F4"}
RATIOS = ("drawn", "measured in the image")
ORACLE_FILES = "oracle-figures*.json"
GATE_FILE = "gate-figures.json"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(figure: JsonObject) -> str:
    """Return a value with its interval, to three decimals."""
    low, high = figure["interval"] or (None, None)
    return f"{figure['value']:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def oracle_text(figures: JsonObject) -> str:
    """Return the comparison of the model with the oracle on one set, and the figures beside it.

    Parameters
    ----------
    figures : JsonObject
        As `plugins.liver_fibrosis.oracle` writes them, with predictions.
    """
    model, alone = figures["model"], figures["liver_to_spleen_alone"]
    rows = [
        [
            words,
            *(number(model["auroc"][point][part]) for part in ("model", "oracle", "share")),
            *(f"{alone[ratio][point]:.3f}" for ratio in RATIOS),
        ]
        for point, words in POINTS.items()
    ]
    header = ["AUROC", "Model", "Oracle", "Model over oracle", *(f"Liver to spleen alone, {ratio}" for ratio in RATIOS)]
    facts = [
        ["Quadratic-weighted kappa of the label", number(model["quadratic_weighted_kappa"])],
        ["Calibration error beyond chance (15 bins)", f"{model['ece_excess']:.3f}"],
        ["Stages in a set", f"{model['mean_set_size']:.2f}"],
        ["Sets that are one run of stages", f"{model['share_contiguous']:.1%}"],
    ]
    return f"**{figures['data']}.** Oracle: {figures['oracle']}.\n\n{table(header, rows)}\n\n" + table(
        ["Figure", "Value"], facts
    )


def gate_text(figures: JsonObject) -> str:
    """Return the table of what the gate refuses, as `plugins.liver_fibrosis.check_gate` counted it."""
    rows = [
        [name, str(found["n"]), f"{found['refused']:.1%} ({found['interval'][0]:.1%} to {found['interval'][1]:.1%})"]
        for name, found in figures.items()
    ]
    return table(["Images", "Counted", "Refused"], rows)


def with_blocks(card: str, blocks: Mapping[str, str]) -> str:
    """Return a card with fresh text between the marks of each block.

    Raises
    ------
    ManifestError
        When the card lacks a block's marks.
    """
    for name, text in blocks.items():
        begin, end = f"<!-- {name}: generated, do not edit -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        fresh = f"{begin}\n\n{text}\n\n{end}"
        card, found = pattern.subn(lambda _match, fresh=fresh: fresh, card)  # type: ignore[misc]
        if found != 1:
            raise ManifestError(f"the card has {found} places for its {name} table, expected one", remedy=begin)
    return card


def stored_blocks(folder: Path) -> dict[str, str]:
    """Return the text of each block from the figures stored in a folder."""
    return {
        "oracle": "\n\n".join(_texts(sorted(folder.glob(ORACLE_FILES), key=lambda path: path.stem), oracle_text)),
        "gate": "\n\n".join(_texts([folder / GATE_FILE], gate_text)),
    }


def _texts(paths: Sequence[Path], text_of: Callable[[JsonObject], str]) -> list[str]:
    try:
        return [text_of(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    except (OSError, ValueError, KeyError) as error:
        raise ManifestError(
            f"stored figures cannot be read ({type(error).__name__})", remedy="make them anew"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="card", description="Write the tables of oracle and gate into the card.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the card is stale")
    args = parser.parse_args(arguments)
    path = load_plugin(PLUGIN_FOLDER).card_path()
    assert path is not None
    try:
        existing = path.read_text(encoding="utf-8")
        fresh = with_blocks(existing, stored_blocks(PLUGIN_FOLDER))
    except WhyCadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if args.check and fresh != existing:
        sys.stderr.write(f"{path.name} is stale: run `python -m plugins.liver_fibrosis.card`\n")
        return 1
    if fresh != existing:
        write_whole(path, fresh)
    sys.stdout.write(f"{path.name} is up to date\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
