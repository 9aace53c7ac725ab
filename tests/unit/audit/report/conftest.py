"""The sample audit in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from whycad.testing.sample_audit import write_sample_audit


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit") / "sample"
    write_sample_audit(folder)
    return folder
