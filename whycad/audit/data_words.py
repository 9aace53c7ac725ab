"""How the checks of data say numbers, names and counts."""

from __future__ import annotations

from collections.abc import Sequence

from whycad.audit.stats import Auc, OddsRatio

NAMED = 3


def shown(name: str) -> str:
    """Return a column's or class's name for readers."""
    return name.replace("_", " ")


def count(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as ``1 image`` or ``1,200 images``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """Return names in a row; how many more there are where there are many."""
    kept = [shown(name) for name in names[:most]]
    more = len(names) - len(kept)
    if more:
        return f"{', '.join(kept)} and {more} more"
    return kept[0] if len(kept) == 1 else f"{', '.join(kept[:-1])} and {kept[-1]}" if kept else "none"


def ratio_words(found: OddsRatio) -> str:
    """Return an odds ratio with its interval and counts."""
    a, b, c, d = found.cells
    ratio = f"odds ratio {number(found.value)}, {number(found.low)} to {number(found.high)}"
    return f"{ratio}; {a:,} of {a + b:,} against {c:,} of {c + d:,}"


def compared(label: str, where: str, found: OddsRatio) -> str:
    """Return how often a label (as it is said) occurs in some images, against all others; plain if never or always."""
    a, b, c, _d = found.cells
    if a == 0:
        return f"no image {where} is {label}"
    if b == 0:
        return f"all images {where} are {label}"
    if c == 0:
        return f"{label} occurs only in images {where}"
    return f"{label} is {times_words(found.share_ratio)} in images {where}"


def times_words(ratio: float) -> str:
    """Return how much commoner or rarer something is, from the ratio of its shares."""
    size = max(ratio, 1 / ratio)
    return f"{size:.{0 if size >= 10 else 1}f} times {'commoner' if ratio > 1 else 'rarer'}"


def auc_words(found: Auc) -> str:
    """Return an area with its interval."""
    return f"AUC {found.value:.2f}, {found.low:.2f} to {found.high:.2f}"


def number(value: float) -> str:
    """Return a ratio with two digits that matter."""
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def sentence(text: str) -> str:
    """Return text with a capital first letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
