"""Every plugin that is found keeps its contract."""

from __future__ import annotations

from functools import lru_cache

import pytest

from whycad.registry import builtin_folder, discover
from whycad.testing.contract import CHECKS, CheckOutcome, run_contract

REGISTRY = discover()
IDS = [entry.id for entry in REGISTRY.entries]
UNTRAINED = "names no weights"


@lru_cache
def outcomes(plugin_id: str) -> dict[str, CheckOutcome]:
    plugin = REGISTRY.get(plugin_id, untrained=True)
    return {outcome.check: outcome for outcome in run_contract(plugin)}


def test_the_built_in_plugins_are_found() -> None:
    folders = {path.parent.name for path in builtin_folder().glob("*/plugin.toml")}
    assert "skin_lesion" in folders
    assert folders <= {entry.folder.name for entry in REGISTRY.entries}


@pytest.mark.parametrize("plugin_id", IDS)
def test_the_manifest_is_valid(plugin_id: str) -> None:
    entry = REGISTRY.entry(plugin_id)
    assert entry.manifest is not None, entry.error


@pytest.mark.timeout(600)  # the first test of a plugin runs all of its checks
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("plugin_id", IDS)
def test_check(plugin_id: str, check: str) -> None:
    outcome = outcomes(plugin_id)[check]
    if outcome.state == "skipped":
        pytest.skip(outcome.reason)
    entry = REGISTRY.entry(plugin_id)
    if check == "card" and UNTRAINED in (entry.error or "") and outcome.state == "failed":
        pytest.skip("the card comes with the trained weights")
    assert outcome.state == "passed", outcome.reason


@pytest.mark.parametrize("plugin_id", IDS)
def test_a_trained_plugin_is_ready(plugin_id: str) -> None:
    entry = REGISTRY.entry(plugin_id)
    if UNTRAINED in (entry.error or ""):
        pytest.skip(str(entry.error))
    assert entry.error is None
    assert entry.remarks == ()
