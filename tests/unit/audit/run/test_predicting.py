"""Predictions of an audit: what they depend on, and features in one piece."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from whycad.audit import context as context_module
from whycad.audit.context import features_of
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.chunk_files import Chunks, write_chunk
from whycad.audit.run.engine import EngineOptions, map_batches
from whycad.audit.run.predicting import PredictJob, plugin_digest
from whycad.plugin import load_plugin
from whycad.testing.plugins import TinyPlugin, write_plugin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plugins")


@pytest.fixture(scope="module")
def plugin(folder):
    return write_plugin(folder, TinyPlugin())


@pytest.fixture
def job(folder, plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(folder))
    images = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)
    np.savez(tmp_path / "pack.npz", images=images, y=np.arange(40) % 3, class_names=np.array(["a", "b", "c"]))
    return PredictJob(DatasetRef(tmp_path / "pack.npz", "tiny"))


@pytest.mark.parametrize("name", ["preprocess.py", "plugin.toml", "calibration.json"])
def test_another_file_of_the_task_is_another_digest(tmp_path, name):
    plugin = write_plugin(tmp_path, TinyPlugin())
    before = plugin_digest(plugin)
    assert plugin_digest(load_plugin(plugin.folder)) == before
    path = plugin.folder / name
    path.write_text(path.read_text() + "\n")
    assert plugin_digest(load_plugin(plugin.folder)) != before


def test_a_card_or_figures_of_the_task_change_no_digest(tmp_path):
    plugin = write_plugin(tmp_path, TinyPlugin())
    before = plugin_digest(plugin)
    (plugin.folder / "performance.json").write_text("{}")
    assert plugin_digest(plugin) == before


def test_another_library_is_another_digest(plugin, monkeypatch):
    before = plugin_digest(plugin)
    monkeypatch.setattr("whycad.audit.run.predicting.version", lambda name: "99" if name == "pillow" else "1")
    other = plugin_digest(plugin)
    monkeypatch.setattr("whycad.audit.run.predicting.version", lambda _name: "1")
    assert len({before, other, plugin_digest(plugin)}) == 3


def test_features_are_those_of_the_rows_in_order(job, tmp_path):
    chunks = map_batches(job, range(40), EngineOptions(tmp_path / "cache", chunk=16))
    found = features_of(chunks, 40, tmp_path)
    expected = np.array(chunks.read(["features"])["features"].to_pylist(), np.float32)
    assert found.shape == (40, 32)
    np.testing.assert_array_equal(found, expected)


def chunks_with(tmp_path, *parts):
    files = []
    for number, part in enumerate(parts):
        files.append(tmp_path / f"{number}.parquet")
        values = [[np.float16(value) for value in row] for row in part]
        write_chunk(pa.table({"features": pa.array(values, pa.list_(pa.float16()))}), files[-1])
    return Chunks(tuple(files))


@pytest.mark.parametrize("in_memory", [0, 10**9])
def test_rows_that_failed_have_no_features(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(context_module, "MOST_IN_MEMORY", in_memory)
    found = features_of(chunks_with(tmp_path, [[], []], [[1, 2], [], [3, 4]]), 5, tmp_path)
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(found, [nan, nan, [1, 2], nan, [3, 4]])
    assert isinstance(found, np.memmap) is (in_memory == 0)
    assert len(list(tmp_path.iterdir())) == 2


def test_features_of_different_widths_are_none(tmp_path):
    assert features_of(chunks_with(tmp_path, [[1, 2], [3, 4, 5]]), 2, tmp_path) is None
    assert features_of(chunks_with(tmp_path, [[1, 2]], [[3, 4, 5]]), 2, tmp_path) is None
    assert features_of(chunks_with(tmp_path, [[], []]), 2, tmp_path) is None
