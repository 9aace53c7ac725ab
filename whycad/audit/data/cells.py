"""Cells of a table as columns of an audit: numbers, categories and flags; never dates or free text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import UNKNOWN, MetadataColumn
from whycad.audit.data.vocabulary import holds_codes
from whycad.datasets.pack_study import UNKNOWN_WORDS

MAX_TEXT = 64
FEW_VALUES = 12
MAX_LEVELS = 200
# A column that differs in more than half of its rows names or describes the row.
MOSTLY_DIFFERENT = 0.5
MOSTLY_DATES = 0.9
MISSING_WORDS = UNKNOWN_WORDS | {"na", "null", "-", "?", "missing", "unk"}
MISSING_LABELS = frozenset({"", "nan", "null", "unknown", "?"})
_DATE = re.compile(r"\d{4}[-/.]?\d{2}[-/.]?\d{2}([T ].*)?\Z|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\Z")
_FLAGS = {"yes": "yes", "true": "yes", "y": "yes", "t": "yes", "no": "no", "false": "no", "n": "no", "f": "no"}
# Flags of these names say whether an artefact is in the picture.
_ARTEFACT = re.compile(
    r"artefact|artifact|ruler|ink|marker|hair|patch|patches|sticker|bubble|gel|dark_?corners?|white_?corners?|vignette|"
    r"text|burned_?in|gel_?(border|bubble)|table_?edge|tube|drain|pacemaker|padding",
    re.IGNORECASE,
)
_FLAG_DIGITS = {"1": "yes", "0": "no"}


def plain_text(cell: object) -> str:
    """Return a cell as short, printable text; odd characters become spaces, long text is cut."""
    text = str(cell)[: 4 * MAX_TEXT]
    shown = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 3] + "..."


def known_text(cell: object) -> str:
    """Return a cell as ``plain_text``, empty where it says that the value is missing."""
    text = plain_text(cell)
    return UNKNOWN if text.casefold() in MISSING_WORDS else text


def known_label(cell: object) -> str:
    """Return a label as ``plain_text``, empty where there is none: ``none`` and ``NA`` may well be classes."""
    text = plain_text(cell)
    return UNKNOWN if text.casefold() in MISSING_LABELS else text


def column_of(name: str, cells: Sequence[object]) -> tuple[MetadataColumn | None, str]:
    """Return a metadata column, or None and why it is none.

    Dates say when, and free text and ids say who; neither is a property that a group of images shares.
    """
    texts = [known_text(cell) for cell in cells]
    known = [text for text in texts if text]
    if not known:
        return None, "holds no value"
    flags = _flags(texts)
    if flags is not None:
        parts = [part for part in re.split(r"[^A-Za-z]+", name) if part]
        artefact = bool(_ARTEFACT.fullmatch(name) or any(_ARTEFACT.fullmatch(part) for part in parts))
        return MetadataColumn(name, "category", flags, "artefact" if artefact else "metadata"), ""
    numbers = _numbers(texts)
    if numbers is None and sum(bool(_DATE.match(text)) for text in known) >= MOSTLY_DATES * len(known):
        return None, "holds dates"
    distinct = len(set(known))
    codes = numbers is not None and _whole(numbers) and holds_codes(name)
    if numbers is not None and not codes and (distinct > FEW_VALUES or not _whole(numbers)):
        return MetadataColumn(name, "number", numbers), ""
    if distinct > MAX_LEVELS or (distinct > FEW_VALUES and distinct > MOSTLY_DIFFERENT * len(known)):
        return None, "differs in most rows"
    return MetadataColumn(name, "category", np.array(texts, np.str_)), ""


def _numbers(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """Return texts as numbers, NaN where unknown or not finite; None where one is no number."""
    found = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        try:
            found[row] = float(text) if text else np.nan
        except ValueError:
            return None
    found[~np.isfinite(found)] = np.nan
    return found


def _whole(numbers: NDArray[np.float64]) -> bool:
    known = numbers[np.isfinite(numbers)]
    return bool((known == np.round(known)).all())


def _flags(texts: Sequence[str]) -> NDArray[np.str_] | None:
    words = {text.casefold() for text in texts if text}
    for names in (_FLAGS, _FLAG_DIGITS):
        if words and words <= set(names):
            return np.array([names[text.casefold()] if text else UNKNOWN for text in texts], np.str_)
    return None


def unique_ids(names: Sequence[str]) -> NDArray[np.str_]:
    """Return names with a number behind those that occurred before; empty ones become row numbers."""
    taken: set[str] = set()
    times: Counter[str] = Counter()
    found: list[str] = []
    for row, name in enumerate(names):
        own = base = name or f"row-{row}"
        while own in taken:
            times[base] += 1
            own = f"{base}#{times[base] + 1}"
        taken.add(own)
        found.append(own)
    return np.array(found, np.str_)
