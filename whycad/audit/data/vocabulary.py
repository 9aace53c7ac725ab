"""What columns are called that say who an image is of, or where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SUBJECT = re.compile(
    r"(.*_)?(subject|subj|patient|person|volunteer|participant|animal|donor|individual|proband)s?"
    r"(_?(id|key|no|nr|num|number|code|index|idx))?",
    re.IGNORECASE,
)
_SOURCE = re.compile(
    r"source|manufacturer|vendor|scanner|device|camera|machine|model|kernel|institution|hospital|centre|center|station|"
    r"site|clinic|modality|photometric|codec|format|size|dataset|origin|protocol|field_t|kvp|bits_stored|lossy|simulated|"
    r"synthetic",
    re.IGNORECASE,
)
_COUNT = re.compile(r"(n|num|number|count|is|has|was|per)_", re.IGNORECASE)
_FLAG = frozenset({"", "yes", "no", "true", "false", "y", "n", "t", "f", "0", "1", "nan", "unknown"})
# Whole numbers in columns of these names are codes, not quantities.
_CODED = re.compile(
    r"(.*_)?(source|vendor|scanner|device|camera|machine|institution|hospital|centre|center|station|site|clinic|dataset|"
    r"origin|protocol)s?(_?(id|key|no|nr|num|number|code|index|idx))?",
    re.IGNORECASE,
)


def names_subjects(name: str) -> bool:
    """Whether a column says who an image is of; counts of people do not."""
    return _SUBJECT.fullmatch(name) is not None and _COUNT.match(name) is None


def names_a_source(name: str) -> bool:
    """Whether a column says where an image comes from or how it was made."""
    return _SOURCE.search(name) is not None


def holds_codes(name: str) -> bool:
    """Whether whole numbers of a column stand for subjects or sources."""
    return names_subjects(name) or _CODED.fullmatch(name) is not None


def subject_column(columns: Iterable[tuple[str, Iterable[object]]]) -> str | None:
    """Return the first column (name, cells) that says who an image is of; flags and counts of people do not."""
    named = ((name, cells) for name, cells in columns if names_subjects(name))
    return next((name for name, cells in named if not {str(cell).strip().casefold() for cell in cells} <= _FLAG), None)
