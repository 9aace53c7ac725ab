"""Which check must see which artefact, and how its finding names it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from whycad.audit.findings import Finding, Severity

# Checks that say what a model or a data set takes from something other than the disease: in a set
# without a shortcut and without a leak every warning of theirs is a false alarm. Checks of
# performance, calibration, robustness and maps may rightly warn of a small network.
SHORTCUT_CHECKS = (
    "metadata_label",
    "metadata_prediction",
    "feature_probe",
    "matched_performance",
    "artefact_insertion",
    "artefact_removal",
    "region_only",
    "map_in_artefact",
    "attribution_cluster",
    "subgroup",
    "slice",
    "trivial_feature",
)
LEAK_CHECKS = ("near_duplicate", "group_across_splits", "label_by_subject", "label_by_source")
ALARM_CHECKS = (*SHORTCUT_CHECKS, *LEAK_CHECKS)

_ALWAYS = ("metadata_label", "metadata_prediction", "matched_performance")
# Drawn by the audit itself, into images that have none.
_INSERTED = (
    "ruler",
    "ink",
    "patches",
    "dark_corner",
    "hair",
    "white_corner",
    "burned_in_text",
    "table_edge",
    "padding",
)
# At the rim, where there is no lesion.
_AT_BORDER = ("ruler", "patches", "dark_corner", "white_corner", "burned_in_text", "table_edge", "padding")
_IN_LIGHT = ("dark_corner", "white_corner", "padding")

MUSTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ink", "hair", "orig_size", "scanner"), _ALWAYS),
    **dict.fromkeys(_AT_BORDER, (*_ALWAYS, "region_only")),
}
for _name in _INSERTED:
    MUSTS[_name] = (*MUSTS[_name], "artefact_insertion")
for _name in _IN_LIGHT:
    MUSTS[_name] = (*MUSTS[_name], "trivial_feature")

# With fewer audited cases of some label with or without the artefact, a matched performance cannot be
# established, and saying so is right.
LEAST_CELL = 10

LEAK_MUSTS = {
    "duplicates": "near_duplicate",
    "patients": "group_across_splits",
    "source": "label_by_source",
    "subject": "label_by_subject",
}

# What a finding may call an artefact, beside its own name.
OTHER_NAMES = {
    "patches": ("patch",),
    "white_corner": ("white_corners",),
    "dark_corner": ("dark_corners",),
    "orig_size": ("scanner_blur",),
    "scanner": ("scanner_noise", "kernel_sharpen"),
}
# Checks whose findings name a place or a feature of the image, whatever put it there.
UNNAMED = ("region_only", "trivial_feature", *LEAK_CHECKS)

WORRYING = (Severity.WARNING, Severity.CRITICAL)


def names_of(artefact: str) -> frozenset[str]:
    """Return what findings may call an artefact."""
    return frozenset((artefact, *OTHER_NAMES.get(artefact, ())))


def is_worrying(finding: Finding) -> bool:
    """Tell whether a finding warns."""
    return finding.severity in WORRYING


def sees(findings: Sequence[Finding], check: str, artefact: str) -> bool:
    """Tell whether a check warned of an artefact by its name, or of what it does where the check knows no names."""
    mine = [finding for finding in findings if finding.check == check and is_worrying(finding)]
    if check in UNNAMED:
        return bool(mine)
    wanted = names_of(artefact)
    return any(wanted & words_in(finding.column) for finding in mine)


def words_in(column: str) -> set[str]:
    """Return the names in a finding's column, such as ``ruler`` and ``site`` in ``ruler=yes & site=A``."""
    return set(re.findall(r"[a-z][a-z0-9_]*", column.casefold()))
