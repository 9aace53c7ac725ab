"""The card's tables of shortcuts and fluid, from stored figures; ``whycad card`` writes them."""

from __future__ import annotations

from pathlib import Path

from whycad.card_blocks import stored_text, table
from whycad.types import JsonObject

FOLDER = Path(__file__).parent
PROBES, FLUID = "probe-figures.json", "fluid-figures.json"


def probe_table(figures: JsonObject) -> str:
    """Return how well a linear probe tells each shortcut before and after preprocessing."""
    rows = [
        [found["name"], str(found["n"]), f"{found['before']:.3f}", f"{found['after']:.3f}"]
        for found in figures["probes"]
    ]
    return table(["A linear probe asked for", "Scans", "AUROC on the image", "AUROC on the network's input"], rows)


def fluid_table(figures: JsonObject) -> str:
    """Return how well fluid is drawn on patients that the decoder never saw."""
    found = figures["fluid_left_out"]
    rows = [[name.replace("_", " ").capitalize(), f"{value:.3f}"] for name, value in found.items()]
    return table(["Fluid, five-fold by patient (55 B-scans of 5 patients)", "Value"], rows)


def blocks(folder: Path = FOLDER) -> dict[str, str]:
    """Return the text of each block of the card."""
    return {
        "shortcuts": stored_text(folder / PROBES, probe_table),
        "fluid": stored_text(folder / FLUID, fluid_table),
    }
