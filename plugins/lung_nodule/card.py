"""The card's tables of cross-validation, from ``crossvalidation.json``; ``whycad card`` writes them."""

from __future__ import annotations

from pathlib import Path

from plugins.lung_nodule.concepts import SCALES
from whycad.card_blocks import number, stored_text, table
from whycad.types import JsonObject

STORED = Path(__file__).with_name("crossvalidation.json")
OUTLINE_FIGURES = "outline-figures.json"
NOT_ESTABLISHED = "not established"


def size_table(figures: JsonObject) -> str:
    """Return the AUROC of the model beside that of the readers' diameter alone, overall and by band."""
    rows = [["all", *_aurocs(figures["overall"])]]
    rows += [[_band(band), *_aurocs(band, established=band["established"])] for band in figures["bands"]]
    header = ["Diameter", "Benign", "Malignant", "Patients", "Model", "Diameter alone", "Difference"]
    return table(header, rows)


def _aurocs(row: JsonObject, *, established: bool = True) -> list[str]:
    counts = [str(row[name]) for name in ("n_benign", "n_malignant", "n_patients")]
    if not established:
        return [*counts, *[NOT_ESTABLISHED] * 3]
    return [*counts, *(number(row[name]) for name in ("model", "diameter", "difference"))]


def _band(band: JsonObject) -> str:
    if band["to_mm"] is None:
        return f"{band['from_mm']:g} mm and more"
    return f"{band['from_mm']:g} to {band['to_mm']:g} mm"


def concept_table(figures: JsonObject) -> str:
    """Return how the predicted descriptors follow the readers', beyond what the diameter tells."""
    rows = [[scale.name, number(figures[scale.name])] for scale in SCALES]
    return f"{table(['Descriptor', 'Partial Spearman correlation given diameter'], rows)}\n\nn = {figures['n']}."


def label_table(figures: JsonObject) -> str:
    """Return soft labels beside median labels."""
    rows = [
        [
            f"{name} labels",
            *(number(figures[name][measure]) for measure in ("log_loss", "brier", "auroc")),
            f"{figures[name]['ece_beyond_chance']:.3f}",
        ]
        for name in ("soft", "median")
    ]
    gap = number(figures["log_loss_soft_less_median"])
    header = ["Trained on", "Log loss", "Brier score", "AUROC", "Calibration error beyond chance"]
    return f"{table(header, rows)}\n\nn = {figures['n']}; log loss of soft less median labels: {gap}."


def other_table(figures: JsonObject) -> str:
    """Return the ambiguity of indeterminate nodules, the outline, and what a moved click does."""
    unsure, outline, moved = figures["ambiguity"]["ambiguity"], figures["outline"], figures["seed_moved_3_mm"]
    low, high = outline["dice_quartiles"]
    rows = [
        ["Ambiguity (nats), indeterminate nodules", number(unsure["indeterminate"])],
        ["Ambiguity (nats), labelled nodules", number(unsure["labelled"])],
        ["Difference", number(unsure["difference"])],
        [
            "Dice with the readers' consensus, median (quartiles)",
            f"{outline['dice_median']:.3f} ({low:.3f} to {high:.3f})",
        ],
        ["Nodules without an outline", f"{outline['share_without_outline']:.1%}"],
        ["Longest diameter, median absolute error", f"{outline['diameter_absolute_error_median_mm']:.1f} mm"],
        ["Change of probability, click moved by 3 mm, median", f"{moved['median']:.3f}"],
        ["The same, 90th percentile", f"{moved['percentile_90']:.3f}"],
    ]
    return table(["Figure", "Value"], rows)


def outline_table(figures: JsonObject) -> str:
    """Return Dice of the outline on ``val``, clicked at the centre and beside it."""
    parts = (figures["centre"], figures["moved_3_mm"])
    rows = [
        ["Nodules (patients)", *(f"{part['n']} ({part['n_groups']})" for part in parts)],
        ["Dice with the readers' consensus, mean", *(number(part["dice_mean"]) for part in parts)],
        ["Dice, median", *(f"{part['dice_quartiles'][1]:.3f}" for part in parts)],
        ["Share of nodules without an outline", *(number(part["without_outline"]) for part in parts)],
    ]
    for name, n in parts[0]["counts"].items():
        rows.append([f"Dice, mean, {name} (n {n})", *(number(part[f"dice_mean_{name}"]) for part in parts)])
    return table(["LIDC-IDRI, split `val`", "Clicked at the centre", "3 mm beside it"], rows)


def blocks(stored: Path = STORED) -> dict[str, str]:
    """Return the text of each block of the card."""
    return {
        "size": stored_text(stored, lambda figures: size_table(figures["size"])),
        "descriptors": stored_text(stored, lambda figures: concept_table(figures["concepts"])),
        "labels": stored_text(stored, lambda figures: label_table(figures["labels"])),
        "others": stored_text(stored, other_table),
        "outline": stored_text(stored.with_name(OUTLINE_FIGURES), outline_table),
    }
