"""What the app is told by its environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dashboard.settings import Settings


def test_nothing_set_allows_no_data_set_but_samples() -> None:
    settings = Settings.from_environment({})
    assert (settings.device, settings.data, settings.audit_data, settings.may_start) == ("auto", None, (), True)
    assert settings.audits.name == "audits"


def test_data_may_be_named_below_the_data_folder_unless_others_are_given(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    known = {"WHYCAD_DATA": str(one), "WHYCAD_AUDITS": str(tmp_path / "runs")}
    assert Settings.from_environment(known).audit_data == (one,)
    assert Settings.from_environment(known).audits == tmp_path / "runs"
    named = os.pathsep.join((str(two), str(tmp_path / "none"), ""))
    assert Settings.from_environment({**known, "WHYCAD_AUDIT_DATA": named}).audit_data == (two,)
    assert Settings.from_environment({**known, "WHYCAD_AUDIT_DATA": ""}).audit_data == ()


@pytest.mark.parametrize("word", ["off", "0", "No", "false"])
def test_starting_can_be_switched_off(word: str) -> None:
    assert not Settings.from_environment({"WHYCAD_AUDIT_START": word}).may_start
