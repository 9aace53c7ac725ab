"""The card's tables of oracle and gate, from stored figures; ``whycad card`` writes them."""

from __future__ import annotations

from pathlib import Path

from plugins.liver_fibrosis.rows import PLUGIN_FOLDER
from whycad.card_blocks import number, stored_text, table
from whycad.types import JsonObject

POINTS = {"at_least_f1": "at least F1", "at_least_f2": "at least F2", "at_least_f3": "at least F3", "f4": "F4"}
RATIOS = ("drawn", "measured in the image")
ORACLE_FILES = "oracle-figures*.json"
GATE_FILE = "gate-figures.json"


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


def blocks(folder: Path = PLUGIN_FOLDER) -> dict[str, str]:
    """Return the text of each block from the figures stored in a folder."""
    oracles = sorted(folder.glob(ORACLE_FILES), key=lambda path: path.stem)
    return {
        "oracle": "\n\n".join(stored_text(path, oracle_text) for path in oracles),
        "gate": stored_text(folder / GATE_FILE, gate_text),
    }
