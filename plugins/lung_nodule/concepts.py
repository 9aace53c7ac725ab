"""What the radiologists of LIDC-IDRI rated, with the words of their scales (Armato 2011; McNitt-Gray 2007)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """One descriptor: its column in the ratings, the question, and the levels from 1 upwards."""

    name: str
    question: str
    levels: tuple[str, ...]


SCALES = (
    Scale(
        "spiculation",
        "Does the nodule have spicules?",
        (
            "No spiculation",
            "Nearly no spiculation",
            "Medium spiculation",
            "Near marked spiculation",
            "Marked spiculation",
        ),
    ),
    Scale(
        "lobulation",
        "Is the outline lobulated?",
        ("No lobulation", "Nearly no lobulation", "Medium lobulation", "Near marked lobulation", "Marked lobulation"),
    ),
    Scale(
        "margin",
        "How well can the margin be seen?",
        ("Poorly defined", "Near poorly defined", "Medium margin", "Near sharp", "Sharp"),
    ),
    Scale(
        "texture",
        "How solid is it?",
        ("Non-solid (ground glass)", "Non-solid or mixed", "Part solid or mixed", "Solid or mixed", "Solid"),
    ),
    Scale(
        "calcification",
        "Is it calcified, and how?",
        ("Popcorn", "Laminated", "Solid", "Non-central", "Central", "Absent"),
    ),
    Scale(
        "sphericity",
        "How round is it?",
        ("Linear", "Ovoid or linear", "Ovoid", "Ovoid or round", "Round"),
    ),
    Scale(
        "subtlety",
        "How easily is it seen?",
        ("Extremely subtle", "Moderately subtle", "Fairly subtle", "Moderately obvious", "Obvious"),
    ),
)
N_SUSPICION_LEVELS = 5


def head_widths() -> dict[str, int]:
    """Return the number of levels of every descriptor, and of the suspicion of malignancy."""
    return {**{scale.name: len(scale.levels) for scale in SCALES}, "suspicion": N_SUSPICION_LEVELS}
