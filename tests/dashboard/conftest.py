"""The app without a server and without models: a queue that answers from examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.settings import Settings
from whycad.manifest import load_manifest
from whycad.registry import PluginEntry, Registry
from whycad.testing.example_tasks import NODULE, SCANS, STAGES, example_calibration
from whycad.testing.examples import ExampleOptions
from whycad.testing.fake_jobs import FakeQueue

REPO = Path(__file__).resolve().parents[2]
OTHERS = {manifest.id: manifest for manifest in (NODULE, SCANS, STAGES)}


def install(monkeypatch: pytest.MonkeyPatch, fake: FakeQueue, entries: tuple[PluginEntry, ...]) -> None:
    monkeypatch.setattr(cache, "registry", lambda: Registry(entries))
    monkeypatch.setattr(cache, "job_queue", lambda: fake)
    monkeypatch.setattr(cache, "settings", lambda: Settings(max_cases=3, audits=Path("no-audits")))
    monkeypatch.setattr(cache, "settle", lambda: None)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQueue]:
    """Stand in for the job queue and the registry in every page that runs in this test."""
    st.cache_resource.clear()
    folder = REPO / "plugins" / "skin_lesion"
    manifest = load_manifest(folder)
    fake = FakeQueue(manifest)
    broken = "plugin 'broken': plugin.toml, <img src=x onerror=alert(1)>: no"
    entries = (PluginEntry(manifest.id, folder, manifest), PluginEntry("broken", Path("broken"), error=broken))
    install(monkeypatch, fake, entries)
    yield fake
    st.cache_resource.clear()


@pytest.fixture
def app(queue: FakeQueue) -> AppTest:
    """The app, run once."""
    return AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()


@pytest.fixture
def all_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQueue]:
    """The same with stand-ins for tasks of every kind, each with a whole calibration."""
    st.cache_resource.clear()
    fake = FakeQueue(NODULE, ExampleOptions(leading=1), others=dict(OTHERS))
    entries = tuple(PluginEntry(task, Path(task), manifest) for task, manifest in OTHERS.items())
    install(monkeypatch, fake, entries)
    monkeypatch.setattr(cache, "calibration", lambda folder: example_calibration(OTHERS[folder.name]))
    yield fake
    st.cache_resource.clear()


@pytest.fixture
def any_app(all_tasks: FakeQueue) -> AppTest:
    """The app with tasks of every kind, run once."""
    return AppTest.from_file(str(REPO / "app.py"), default_timeout=60).run()
