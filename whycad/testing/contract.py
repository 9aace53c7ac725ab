"""The contract of a plugin, as checks that name what is broken.

Each ``check_*`` takes a ``Plugin`` and returns nothing, raises a ``WhyCadError`` that says what
is wrong, or raises ``NotApplicable``. ``run_checks`` runs them here; ``run_contract`` runs them
in a child process, so that a plugin which hangs or exits is an outcome too.

In a plugin's own tests::

    from whycad.testing.contract import assert_contract

    def test_contract() -> None:
        assert_contract(Path("my_plugin"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from whycad.errors import WhyCadError
from whycad.plugin import Plugin, contained
from whycad.testing.checks import (
    NotApplicable,
    check_analysis,
    check_build,
    check_calibration,
    check_card,
    check_determinism,
    check_explain,
    check_forward,
    check_geometry_round_trip,
    check_manifest,
    check_phantom,
    check_preprocess,
    check_weights,
)
from whycad.testing.checks_more import (
    check_evidence,
    check_gate,
    check_reference,
    check_row_reader,
    check_single_image,
    check_slices,
    check_strange,
    check_survey,
)
from whycad.testing.checks_what_if import check_artefacts, check_draw_artefact, check_similar

__all__ = [
    "CHECKS",
    "CheckOutcome",
    "NotApplicable",
    "assert_contract",
    "check_analysis",
    "check_artefacts",
    "check_build",
    "check_calibration",
    "check_card",
    "check_determinism",
    "check_draw_artefact",
    "check_evidence",
    "check_explain",
    "check_forward",
    "check_gate",
    "check_geometry_round_trip",
    "check_manifest",
    "check_phantom",
    "check_preprocess",
    "check_reference",
    "check_row_reader",
    "check_similar",
    "check_single_image",
    "check_slices",
    "check_strange",
    "check_survey",
    "check_weights",
    "run_check",
    "run_checks",
    "run_contract",
]

State = Literal["passed", "failed", "skipped"]
Check = Callable[[Plugin], None]


@dataclass(frozen=True)
class CheckOutcome:
    """What one check found.

    Attributes
    ----------
    check : str
        Name without ``check_``.
    state : str
        ``passed``, ``failed`` or ``skipped``.
    reason : str
        Why it failed or was skipped.
    """

    check: str
    state: State
    reason: str = ""


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.__name__.removeprefix("check_"): check
        for check in (
            check_manifest,
            check_card,
            check_build,
            check_preprocess,
            check_determinism,
            check_geometry_round_trip,
            check_forward,
            check_weights,
            check_calibration,
            check_explain,
            check_phantom,
            check_gate,
            check_survey,
            check_evidence,
            check_reference,
            check_row_reader,
            check_strange,
            check_analysis,
            check_slices,
            check_single_image,
            check_artefacts,
            check_draw_artefact,
            check_similar,
        )
    }
)


def run_check(plugin: Plugin, name: str) -> CheckOutcome:
    """Run one check by name; whatever the plugin raises is its outcome."""
    try:
        with contained(plugin, f"check {name}", passing=(NotApplicable,)):
            CHECKS[name](plugin)
    except NotApplicable as reason:
        return CheckOutcome(name, "skipped", str(reason))
    except WhyCadError as error:
        return CheckOutcome(name, "failed", str(error))
    return CheckOutcome(name, "passed")


def run_checks(plugin: Plugin, names: Sequence[str] | None = None) -> list[CheckOutcome]:
    """Run checks in this process, all by default; for a plugin that can be trusted not to hang."""
    return [run_check(plugin, name) for name in (names if names is not None else CHECKS)]


def run_contract(plugin: Plugin | Path, *, timeout_s: float = 120.0) -> list[CheckOutcome]:
    """Run every check on a plugin or plugin folder in a child process.

    Parameters
    ----------
    plugin : Plugin or Path
    timeout_s : float
        Longest time for one check.

    Raises
    ------
    ManifestError
        When the folder holds no valid plugin.toml.
    """
    from whycad.plugin import load_plugin
    from whycad.testing.isolation import run_isolated

    plugin = plugin if isinstance(plugin, Plugin) else load_plugin(plugin)
    return run_isolated(plugin, tuple(CHECKS), timeout_s)


def assert_contract(plugin: Plugin | Path, *, timeout_s: float = 120.0) -> None:
    """Run ``run_contract`` and fail with every broken check.

    Raises
    ------
    AssertionError
    ManifestError
        When the folder holds no valid plugin.toml.
    """
    broken = [outcome for outcome in run_contract(plugin, timeout_s=timeout_s) if outcome.state == "failed"]
    if broken:
        raise AssertionError("\n".join(f"{outcome.check}: {outcome.reason}" for outcome in broken))
