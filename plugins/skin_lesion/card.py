"""The card's own tables, from stored figures: outline, measurements, focus of maps; ``whycad card`` writes them."""

from __future__ import annotations

from pathlib import Path

from whycad.card_blocks import number, stored_text, table
from whycad.types import JsonObject
from whycad.wording import method_name

FOLDER = Path(__file__).parent
OUTLINE_FIGURES, REFERENCE, FOCUS_FIGURES = "outline-figures.json", "reference.json", "focus-figures.json"


def outline_table(figures: JsonObject) -> str:
    """Return Dice of the outline, on images as they are and re-cropped, with intervals by lesion group."""
    whole, cropped = figures["whole"], figures["cropped"]
    names = {
        "dice_mean": "Dice with the masks, mean",
        "dice_above_85": "Share of images with Dice of 0.85 or more",
        "without_outline": "Share of images without an outline",
    }
    rows = [["Images (lesion groups)", *(f"{part['n']} ({part['n_groups']})" for part in (whole, cropped))]]
    rows += [[title, number(whole[name]), number(cropped[name])] for name, title in names.items()]
    rows.append(["Dice, median", *(f"{part['dice_quartiles'][1]:.3f}" for part in (whole, cropped))])
    for code, n in whole["counts"].items():
        name = f"dice_mean_{code}"
        rows.append([f"Dice, mean, {code} (n {n})", number(whole[name]), number(cropped[name])])
    return table(["HAM10000, split `val`", "As they are", "Re-cropped, lesion anywhere"], rows)


def measurement_table(figures: JsonObject) -> str:
    """Return median and central 90 % of each measurement by label, in the calibration fold."""
    found = figures["measurements"]
    codes = list(next(iter(found.values()))["labels"])
    rows = [
        [
            f"{item['name']}{', ' + item['unit'] if item['unit'] else ''}",
            *(_span(item["labels"][code]) for code in codes),
        ]
        for item in found.values()
    ]
    source = figures["source"]
    note = f"{source['dataset']}, {source['selection']}: {source['n']} images. Median (5th to 95th percentile)."
    return f"{table(['Measurement', *codes], rows)}\n\n{note}"


def _span(found: JsonObject) -> str:
    values = found["quantiles"]
    if not values:
        return f"not established (n {found['n']})"
    return f"{values[50]:.3g} ({values[5]:.3g} to {values[95]:.3g})"


def focus_table(figures: JsonObject) -> str:
    """Return how much of the maps lies on re-cropped lesions, beside two maps that know nothing of the image."""
    kinds = {
        "The map": figures,
        "Another image's map": figures["controls"]["swapped"],
        "A Gaussian about the centre": figures["controls"]["gaussian"],
    }
    rows = [[name, number(found["mass_ratio"], 2), number(found["peak_inside"], 2)] for name, found in kinds.items()]
    note = (
        f"{method_name(figures['method'])} of the predicted label; {figures['n_images']} images of "
        f"{figures['n_groups']} lesions, which take {100 * figures['mean_area']:.0f} % of a crop on average. "
        "Intervals by lesion group."
    )
    return f"{table(['Map', 'Mass inside over area', 'Share of peaks inside'], rows)}\n\n{note}"


def blocks(folder: Path = FOLDER) -> dict[str, str]:
    """Return the text of each block of the card."""
    return {
        "outline": stored_text(folder / OUTLINE_FIGURES, outline_table),
        "measurements": stored_text(folder / REFERENCE, measurement_table),
        "focus": stored_text(folder / FOCUS_FIGURES, focus_table),
    }
