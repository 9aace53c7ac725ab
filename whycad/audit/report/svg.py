"""A small writer of static SVG: real text, colours by name, every name and value escaped.

Colours are written as attributes for a light page; the report's style sheet overrides them by class
for a dark one. Colour is never alone: severities and series also have a sign of their own.

References
----------
Series colours after Okabe and Ito (2008), darkened for text-like contrast on white.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from whycad.audit.findings import Severity
from whycad.wording import printable

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

# Light and dark.
PALETTE: Mapping[str, tuple[str, str]] = {
    "ink": ("#16212b", "#e6ecf1"),
    "quiet": ("#55636f", "#a5b2bd"),
    "grid": ("#d9dfe5", "#33404c"),
    "paper": ("#ffffff", "#18212a"),
    "critical": ("#b3261e", "#ff8a80"),
    "warning": ("#a86a00", "#f0b429"),
    "ok": ("#1b7f4b", "#5bc98c"),
    "unknown": ("#6b7884", "#98a6b3"),
    "s0": ("#1f6f9f", "#58a6d6"),
    "s1": ("#b35900", "#f0a35e"),
    "s2": ("#0b7a5f", "#4fc3a1"),
    "s3": ("#8a3f84", "#d38fce"),
    "s4": ("#6b5b10", "#d8c65a"),
    "s5": ("#3d4a57", "#b8c4cf"),
}
N_SERIES_COLOURS = 6
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 4")
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
SEVERITY_SHAPES: Mapping[Severity, str] = {
    Severity.CRITICAL: "square",
    Severity.WARNING: "triangle",
    Severity.OK: "circle",
    Severity.UNKNOWN: "ring",
}
FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
FONT_SIZE = 12.0
# Mean width of a letter in ems; DejaVu Sans, the widest font that the report may get, needs as much.
NARROW = 0.61


@dataclass(frozen=True)
class Look:
    """How a mark looks: a colour's name, a shape's name, a pattern of dashes."""

    colour: str = "s0"
    shape: str = "circle"
    dash: str = ""


def series_look(index: int) -> Look:
    """Return the look of the series of this index."""
    again, place = divmod(index, N_SERIES_COLOURS)
    # Where colours begin again, shapes and dashes go on, so that no two series look alike.
    return Look(f"s{place}", SHAPES[(place + again) % len(SHAPES)], DASHES[(place + again) % len(DASHES)])


def mark_look(severity: Severity | None, index: int, n_series: int) -> Look:
    """Return the look of a mark: by severity where there is one series, else by series."""
    if severity is None or n_series > 1:
        return series_look(index)
    return Look(severity.value, SEVERITY_SHAPES[severity])


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Return about how wide a text is, pixels: static SVG has no layout of its own."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return size * (NARROW * (len(text) - wide) + 1.05 * wide)


def cut(text: str, width: float, size: float = FONT_SIZE) -> str:
    """Return a text on one line, cut with an ellipsis where it would be wider than ``width`` pixels."""
    line = printable(text, 200)
    if text_width(line, size) <= width:
        return line
    kept = line[: max(1, int(width / (NARROW * size)))]
    while len(kept) > 1 and text_width(f"{kept}…", size) > width:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"


def wrapped(text: str, width: float, size: float = FONT_SIZE) -> tuple[str, ...]:
    """Return a text on one line or two; the second is cut where it would be wider than ``width`` pixels."""
    line = printable(text, 200)
    words = line.split(" ")
    n = max((n for n in range(1, len(words)) if text_width(" ".join(words[:n]), size) <= width), default=0)
    if text_width(line, size) <= width or n == 0:
        return (cut(text, width, size),)
    return " ".join(words[:n]), cut(" ".join(words[n:]), width, size)


@dataclass
class Drawing:
    """Elements of one SVG picture, in the order in which they are painted.

    Attributes
    ----------
    width, height : float
        Pixels.
    """

    width: float
    height: float
    parts: list[Markup] = field(default_factory=list)

    def line(self, start: Point, end: Point, colour: str = "ink", width: float = 1.0, dash: str = "") -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(
            Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" {}/>').format(
                _n(x1), _n(y1), _n(x2), _n(y2), _stroke(colour, width, dash)
            )
        )

    def curve(self, points: Sequence[Point], colour: str, width: float = 2.0, dash: str = "") -> None:
        """Draw a line through points."""
        self.parts.append(
            Markup('<polyline points="{}" fill="none" {}/>').format(_points(points), _stroke(colour, width, dash))
        )

    def area(self, points: Sequence[Point], colour: str, opacity: float = 0.14) -> None:
        """Fill a polygon."""
        self.parts.append(
            Markup('<polygon points="{}" fill-opacity="{}" {}/>').format(_points(points), opacity, _fill(colour))
        )

    def rect(self, corner: Point, size: Point, colour: str, title: str = "", fill: str = "") -> None:
        """Draw a filled rectangle, of a named colour or of a fixed ``fill``; ``title`` shows under the pointer."""
        paint = Markup('fill="{}"').format(fill) if fill else _fill(colour)
        self.parts.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" {}>{}</rect>').format(
                _n(corner[0]), _n(corner[1]), _n(size[0]), _n(size[1]), paint, _title(title)
            )
        )

    def mark(self, at: Point, look: Look, title: str = "", size: float = 4.0) -> None:
        """Draw a point in its shape; ``title`` shows under the pointer."""
        self.parts.append(Markup("<g {}>{}{}</g>").format(_paint(look), _title(title), _shape(look.shape, at, size)))

    def text(self, at: Point, text: str, anchor: Anchor = "start", colour: str = "ink", fill: str = "") -> None:
        """Write one line of text; its baseline starts, is centred or ends at ``at``."""
        paint = Markup('fill="{}"').format(fill) if fill else _fill(colour)
        self.parts.append(
            Markup('<text x="{}" y="{}" text-anchor="{}" {}>{}</text>').format(
                _n(at[0]), _n(at[1]), anchor, paint, printable(text, 200)
            )
        )

    def markup(self, label: str, classes: str = "chart") -> Markup:
        """Return the whole element; ``label`` says in words what it shows."""
        return Markup(
            '<svg class="{}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}" width="{}" height="{}" '
            'viewBox="0 0 {} {}" font-family="{}" font-size="{}">{}</svg>'
        ).format(
            classes,
            printable(label, 300),
            *map(_n, (self.width, self.height) * 2),
            FONT,
            _n(FONT_SIZE),
            Markup("").join(self.parts),
        )


def _n(value: float) -> str:
    # Adding 0.0 turns a negative zero into a zero.
    return f"{round(value, 1) + 0.0:g}"


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _fill(colour: str) -> Markup:
    return Markup('class="f-{}" fill="{}"').format(colour, PALETTE[colour][0])


def _stroke(colour: str, width: float, dash: str) -> Markup:
    dashes = Markup(' stroke-dasharray="{}"').format(dash) if dash else Markup("")
    return Markup('class="s-{}" stroke="{}" stroke-width="{}"{}').format(colour, PALETTE[colour][0], _n(width), dashes)


def _paint(look: Look) -> Markup:
    tone = PALETTE[look.colour][0]
    if look.shape in ("ring", "cross"):
        return Markup('class="s-{}" fill="none" stroke="{}" stroke-width="2"').format(look.colour, tone)
    return Markup('class="f-{}" fill="{}"').format(look.colour, tone)


def _title(text: str) -> Markup:
    return Markup("<title>{}</title>").format(printable(text, 300)) if text else Markup("")


def _shape(shape: str, at: Point, size: float) -> Markup:
    x, y = at
    if shape in ("circle", "ring"):
        return Markup('<circle cx="{}" cy="{}" r="{}"/>').format(_n(x), _n(y), _n(size))
    if shape == "cross":
        corners = tuple(map(_n, (x - size, y - size, x + size, y + size)))
        return Markup('<path d="M{0} {1}L{2} {3}M{0} {3}L{2} {1}"/>').format(*corners)
    offsets = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "triangle": ((0, -1.25), (1.2, 0.9), (-1.2, 0.9)),
        "diamond": ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    }[shape]
    return Markup('<polygon points="{}"/>').format(_points([(x + size * dx, y + size * dy) for dx, dy in offsets]))
