"""A plugin's cases for testing maps: none where it offers none, its failures named."""

import pytest

from whycad.errors import PluginError
from whycad.masked_cases import masked_cases
from whycad.testing.plugins import TinyPlugin, write_plugin


def test_a_task_that_offers_none_gives_none(tmp_path):
    assert list(masked_cases(write_plugin(tmp_path), tmp_path, "report", 3, 0)) == []


def test_what_the_plugin_raises_is_contained(tmp_path):
    code = 'def cases(data, part, n, seed):\n    """Fail."""\n    raise RuntimeError("CANARY^PATIENT")\n'
    spec = TinyPlugin(files={"cases.py": code}, code='masked_cases = "cases:cases"\n')
    with pytest.raises(PluginError, match="masked_cases raised RuntimeError") as caught:
        list(masked_cases(write_plugin(tmp_path, spec), tmp_path, "report", 3, 0))
    assert "CANARY" not in str(caught.value)
