"""Stored figures of maps as Markdown: the model card's block and ``docs/explanations.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whycad.card_blocks import table
from whycad.manifest import Manifest
from whycad.map_grades import FEWEST_CASES, Figure, InsideFigures, MapGrades, MethodFigures, Thresholds, method_sentence
from whycad.types import EvidenceLevel

NOT_ESTABLISHED = "not established"
CURVES = ("Deletion over random", "Insertion over random", "Deletion over edges", "Insertion over edges")
HIDDEN_WORDS = {"blur": "the image's own wide blur", "baseline": "the input's baseline"}
FOREWORD = """# Explanation maps, tested

Written by `whycad explanations`; do not edit. Each task was measured with the command under its heading and its
figures stored beside the plugin. No map is a localisation, and none of this says that a map is *right*: it says how
far it follows the model.

- **Gains**: the image is cut into about 250 cells, of which 1, 2, 4 ... 64 % are hidden (deletion) or shown alone
  (insertion), the map's largest first. A gain is how much lower or higher the score is on average than in random order,
  or in the order of an edge detector (Sobel), as a share of how much the score moves at all. 0 is no better.
- **Similar after randomisation**: rank correlation of one member's map with the map after the last third, two thirds
  and all of its layers had new random weights. High is bad. Occlusion and LIME see the network by its output alone
  and are tried on the wholly random one.
- **Stability**: rank correlation with the map of the image with 2 % noise, under another seed.
- **Mass ratio**: share of the map's positive mass inside the outline over the share of the view that the outline
  takes, 1 by chance; **peak inside**: how often the largest value lies inside. In brackets the same maps shifted by
  quarters of the view. Outlines were drawn by people (or the simulator), never by the model.
- **Grades** A / B / C / fails as readers see them, by the thresholds below. A map no better than edges fails, and so
  does one that hardly changes when the weights are random. An A needs a larger gain over random than 95 % of maps that
  were made for other images of the task, a B a larger one than 75 %; where findings lie at the same place in every
  image, other images' maps gain much, and grades are strict.

Figures are means with 95 % intervals from a bootstrap over patients or lesions. Maps were made with few steps and
samples (integrated gradients 16 steps, LIME 25 superpixels with 8 samples each, occlusion with windows side by side).
Thresholds were set on cases of `train` that no member was trained on; the figures are of held-out cases.
"""


def document(tasks: Sequence[tuple[Manifest, MapGrades]], names: Mapping[str, str]) -> str:
    """Return the whole document.

    Parameters
    ----------
    tasks : sequence of (Manifest, MapGrades)
        Tasks without stored figures are named as such.
    names : mapping of str to str
        Method ids to names for the reader.
    """
    return "\n".join([FOREWORD, *(task_section(manifest, stored, names) for manifest, stored in tasks)])


def task_section(manifest: Manifest, stored: MapGrades, names: Mapping[str, str]) -> str:
    """Return one task's heading, tables and thresholds."""
    lines = [f"## {manifest.title}", ""]
    if stored.source is None or not stored.methods:
        return "\n".join([*lines, "Not measured for the weights that are installed.", ""])
    source = stored.source
    if manifest.evidence_level is EvidenceLevel.SIMULATED:
        lines += ["**Simulated data**: the task was trained and measured on simulated images.", ""]
    lines += [
        f"`{source.command}`",
        "",
        f"Measured on {source.n_report} cases of {source.report_on}; thresholds from {source.n_calibration} cases of "
        f"{source.calibrated_on}.",
        "",
        block(stored, names),
        "",
        thresholds_text(stored.thresholds),
        "",
    ]
    return "\n".join(lines)


def card_block(stored: MapGrades, names: Mapping[str, str]) -> str:
    """Return the block of the model card."""
    if stored.source is None or not stored.methods:
        return f"Maps: {NOT_ESTABLISHED} for these weights."
    source = stored.source
    where = f"n = {source.n_report} cases of {source.report_on}. `docs/explanations.md` says what each column means."
    return f"{block(stored, names)}\n\n{where}"


def block(stored: MapGrades, names: Mapping[str, str]) -> str:
    """Return the two tables of methods, and a sentence for each."""
    order = list(stored.methods)
    rows = [[names.get(m, m), *_curve_cells(stored.methods[m])] for m in order]
    faithful = table(["Method", "n", *CURVES, "Grades A / B / C / fails"], rows)
    rows = [[names.get(m, m), *_other_cells(stored.methods[m])] for m in order]
    of = f" the {stored.inside_of}" if stored.inside_of else ""
    header = ["Method", "Similar after randomisation", "Stability", f"n with outline of{of or ' the finding'}"]
    others = table([*header, "Mass ratio (shifted)", "Peak inside (shifted)"], rows)
    sentences = [f"- {method_sentence(stored, m, names.get(m, m))}." for m in order]
    return "\n\n".join([faithful, others, "\n".join(sentences)])


def thresholds_text(thresholds: Thresholds) -> str:
    """Say where grades change."""
    t = thresholds
    return (
        f"Hidden cells become {HIDDEN_WORDS[t.hidden]}. Thresholds: gain over random {t.good_gain:.3f} for an A and "
        f"{t.fair_gain:.3f} for a B; similar after randomisation below {t.most_similar:.2f}, else it fails; stability "
        f"{t.good_stability:.2f} for an A and {t.fair_stability:.2f} for a B; a score that moves less than "
        f"{t.least_span:.2f} tests nothing."
    )


def _curve_cells(figures: MethodFigures) -> list[str]:
    gains = (figures.deletion_random, figures.insertion_random, figures.deletion_edges, figures.insertion_edges)
    grades = " / ".join(str(figures.grades.get(grade, 0)) for grade in ("A", "B", "C", "fails"))
    return [str(figures.n), *(_shown(gain, figures.n, signed=True) for gain in gains), grades]


def _other_cells(figures: MethodFigures) -> list[str]:
    similar = " → ".join(f"{one.value:.2f}" for one in figures.similarity)
    verdict = "passes" if figures.passes_randomisation else "**fails**"
    stability = "–" if figures.stability is None else _shown(figures.stability, figures.n)
    return [f"{similar}, {verdict}" if similar else "–", stability, *_inside_cells(figures.inside)]


def _inside_cells(found: InsideFigures | None) -> list[str]:
    if found is None:
        return ["0", "–", "–"]
    if found.n < FEWEST_CASES:
        return [str(found.n), NOT_ESTABLISHED, NOT_ESTABLISHED]
    return [
        str(found.n),
        f"{_shown(found.mass_ratio, found.n)} ({found.mass_ratio_shifted.value:.2f})",
        f"{_shown(found.peak_inside, found.n, percent=True)} ({100 * found.peak_inside_shifted.value:.0f} %)",
    ]


def _shown(figure: Figure, n: int, *, signed: bool = False, percent: bool = False) -> str:
    if n < FEWEST_CASES:
        return NOT_ESTABLISHED
    sign = "+" if signed else ""

    def one(value: float) -> str:
        return f"{100 * value:.0f} %" if percent else f"{value:{sign}.2f}"

    if figure.interval is None:
        return one(figure.value)
    return f"{one(figure.value)}, {one(figure.interval[0])} to {one(figure.interval[1])}"
