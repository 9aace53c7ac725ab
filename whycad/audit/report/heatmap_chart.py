"""Heat maps of two sets of names: every cell has its number written in it.

References
----------
Colours: ColorBrewer Blues and RdBu, 5 classes (Harrower & Brewer 2003).
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from whycad.audit.findings import Chart, Mark
from whycad.audit.report.scales import Names, as_number
from whycad.audit.report.svg import FONT_SIZE, Drawing, cut, text_width
from whycad.audit.words import NO_VALUE, number_words

WIDTH = 680.0
MAX_NAMES = 30
NAME_WIDTH = 200.0
CELL_HEIGHT = 30.0
MAX_CELL_WIDTH = 130.0

Colour = tuple[int, int, int]
SEQUENTIAL: tuple[Colour, ...] = ((247, 251, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107))
DIVERGING: tuple[Colour, ...] = ((5, 113, 176), (146, 197, 222), (247, 247, 247), (244, 165, 130), (202, 0, 32))


@dataclass(frozen=True)
class Tones:
    """From values to colours.

    Attributes
    ----------
    low, high : float
        Values of the first and the last colour, ``low < high``.
    colours : tuple of tuple of int
    """

    low: float
    high: float
    colours: tuple[Colour, ...]

    def colour(self, value: float) -> Colour:
        """Return a value's colour, between its neighbours'."""
        place = min(1.0, max(0.0, (value - self.low) / (self.high - self.low))) * (len(self.colours) - 1)
        index = min(int(place), len(self.colours) - 2)
        share = place - index
        before, after = self.colours[index], self.colours[index + 1]
        red, green, blue = (round(a + share * (b - a)) for a, b in zip(before, after, strict=True))
        return red, green, blue


def tones_for(values: list[float], middle: float | None) -> Tones:
    """Return colours for values: diverging around ``middle`` (or 0, where there are signs), else sequential."""
    low, high = min(values), max(values)
    centre = middle if middle is not None else (0.0 if low < 0 < high else None)
    if centre is not None:
        reach = max(abs(low - centre), abs(high - centre)) or 1.0
        return Tones(centre - reach, centre + reach, DIVERGING)
    # Shares keep their own ends, so that 0.9 looks the same in every chart.
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return Tones(low, high if high > low else low + 1.0, SEQUENTIAL)


def draw_heatmap(chart: Chart) -> tuple[Markup | None, int]:
    """Draw a heat map; return also how many marks were left out."""
    marks = [mark for series in chart.series for mark in series.marks]
    columns = tuple(dict.fromkeys(_name(mark.x) for mark in marks))[:MAX_NAMES]
    rows = tuple(dict.fromkeys(_name(mark.y) for mark in marks))[:MAX_NAMES]
    shown = [mark for mark in marks if _name(mark.x) in columns and _name(mark.y) in rows]
    values = [value for mark in shown if (value := as_number(mark.z)) is not None]
    if not values:
        return None, len(marks)
    left = max(text_width(cut(row, NAME_WIDTH)) for row in rows) + 16
    cell_width = min(MAX_CELL_WIDTH, (WIDTH - left - 8) / len(columns))
    across = Names(columns, left, left + cell_width * len(columns))
    down = Names(rows, 48.0, 48.0 + CELL_HEIGHT * len(rows))
    drawing = Drawing(WIDTH, down.end + 10)
    _draw_names(drawing, chart, across, down)
    tones = tones_for(values, chart.reference)
    for mark in shown:
        _draw_cell(drawing, mark, (across, down), tones)
    return drawing.markup(chart.title), len(marks) - len(shown)


def _name(value: float | str) -> str:
    return value if isinstance(value, str) else number_words(value)


def _draw_names(drawing: Drawing, chart: Chart, across: Names, down: Names) -> None:
    axes = " by ".join(title for title in (chart.y_title, chart.x_title) if title)
    drawing.text((4, 14), cut(axes, WIDTH - 8), "start", "quiet")
    step = max(1, -(-34 // max(1, int(across.band))))
    for name in across.names[::step]:
        drawing.text((across.place(name), 40), cut(name, across.band * step - 6), "middle", "quiet")
    for name in down.names:
        drawing.text((across.start - 10, down.place(name) + 4), cut(name, NAME_WIDTH), "end")


def _draw_cell(drawing: Drawing, mark: Mark, axes: tuple[Names, Names], tones: Tones) -> None:
    across, down = axes
    column, row, value = _name(mark.x), _name(mark.y), as_number(mark.z)
    x, y = across.place(column), down.place(row)
    corner, size = (x - across.band / 2 + 1, y - CELL_HEIGHT / 2 + 1), (across.band - 2, CELL_HEIGHT - 2)
    words = NO_VALUE if value is None else number_words(value)
    said = f"{row}, {column}: {words}" + (f", n = {mark.n:,}" if mark.n is not None else "")
    if value is None:
        drawing.rect(corner, size, "grid", said)
        drawing.text((x, y + 4), words, "middle", "quiet")
        return
    red, green, blue = tones.colour(value)
    drawing.rect(corner, size, "", said, fill=f"#{red:02x}{green:02x}{blue:02x}")
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140
    if text_width(words, FONT_SIZE) <= across.band:
        drawing.text((x, y + 4), words, "middle", fill="#ffffff" if dark else "#16212b")
