"""The checks of an audit: one module each, with a ``CHECK``; found by its id and imported when it runs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult
from whycad.errors import DatasetError

# In the order in which they run and are shown.
MODEL_CHECKS = (
    "performance",
    "calibration",
    "imbalance",
    "subgroup",
    "slice",
    "metadata_prediction",
    "feature_probe",
    "matched_performance",
    "artefact_insertion",
    "artefact_removal",
    "region_only",
    "map_in_artefact",
    "robustness",
    "explanation",
    "attribution_cluster",
    "ledger",
)
DATA_CHECKS = (
    "metadata_label",
    "trivial_feature",
    "near_duplicate",
    "group_across_splits",
    "label_by_subject",
    "label_by_source",
    "label_issue",
    "outlier",
    "missing_metadata",
)
ALL_CHECKS = (*MODEL_CHECKS, *DATA_CHECKS)
# What costs many passes per image: left out of a quick audit.
SLOW_CHECKS = ("robustness", "explanation", "attribution_cluster")


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    id : str
        Of ``ALL_CHECKS``.
    title : str
        As readers see it.
    question : str
        What it asks, in a sentence.
    run : callable
        Gives the result; raises ``CheckSkippedError`` where it has nothing to look at.
    """

    id: str
    title: str
    question: str
    run: Callable[[AuditContext], CheckResult]


class CheckSkippedError(DatasetError):
    """The data or the task do not offer what this check looks at."""


def load_check(check: str) -> Check:
    """Import a check by its id."""
    module = importlib.import_module(f"{__name__}.{check}")
    found = module.CHECK
    assert isinstance(found, Check)
    return found


def available() -> tuple[str, ...]:
    """Return the ids of the checks that exist, in order."""
    return tuple(check for check in ALL_CHECKS if importlib.util.find_spec(f"{__name__}.{check}") is not None)


def chosen(names: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Return the checks to run: those named, or all that the kind of audit (``model``, ``data``) has.

    Raises
    ------
    DatasetError
        When a name is no check of this kind.
    """
    possible = tuple(check for check in available() if kind == "model" or check in DATA_CHECKS)
    unknown = [name for name in names if name not in possible]
    if unknown:
        raise DatasetError(f"{unknown[0]!r} is no check of this audit", remedy=f"there are {', '.join(possible)}")
    return tuple(check for check in possible if not names or check in names)
