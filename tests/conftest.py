"""Fixtures for every test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Workers share the cores: how long one example takes says nothing.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def data_dir() -> Path:
    folder = Path(os.environ.get("WHYCAD_DATA", REPO.parent / "shared" / "data"))
    if not (folder / "skin" / "ham10000.npz").exists():
        pytest.skip(f"no image packs at {folder}: set WHYCAD_DATA to the folder that holds skin/ham10000.npz")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_ledger(tmp_path_factory):
    """Audits that tests run are recorded in a ledger of their own, never in the user's."""
    before = os.environ.get("WHYCAD_LEDGER")
    os.environ["WHYCAD_LEDGER"] = str(tmp_path_factory.mktemp("ledger") / "ledger.jsonl")
    yield
    os.environ.pop("WHYCAD_LEDGER")
    if before is not None:
        os.environ["WHYCAD_LEDGER"] = before


@pytest.fixture(autouse=True)
def own_main_module():
    """Put ``__main__`` back: AppTest leaves a page there, and processes that are spawned later would run it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
