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
# Whole numbers in columns of these names are codes, not quantities.
_CODED = re.compile(
    r"(.*_)?(source|vendor|scanner|device|camera|machine|institution|hospital|centre|center|station|site|clinic|dataset|"
    r"origin|protocol)s?(_?(id|key|no|nr|num|number|code|index|idx))?",
    re.IGNORECASE,
)


def names_subjects(name: str) -> bool:
    """Whether a column says who an image is of."""
    return _SUBJECT.fullmatch(name) is not None


def names_a_source(name: str) -> bool:
    """Whether a column says where an image comes from or how it was made."""
    return _SOURCE.search(name) is not None


def holds_codes(name: str) -> bool:
    """Whether whole numbers of a column stand for subjects or sources."""
    return names_subjects(name) or _CODED.fullmatch(name) is not None


def subject_column(names: Iterable[str]) -> str | None:
    """Return the first column that says who an image is of."""
    return next((name for name in names if names_subjects(name)), None)
