"""A trained test task and images for it."""

import io

import numpy as np
import pytest
from PIL import Image

from whycad.plugin import load_plugin
from whycad.testing.plugins import TinyPlugin, make_calibration, write_plugin

AUDIT = """
[[operating_points]]
name = "bad"
labels = ["a"]
sensitivity = 0.9

[audit]
metadata_fields = ["age_years", "sex"]

[audit.label_map]
first = "a"
second = "b"
"""


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory):
    """Return a folder of plugins with the tasks ``tiny`` (ready) and ``raw`` (not trained)."""
    parent = tmp_path_factory.mktemp("plugins")
    card = 'model_card = "card.md"\nlicence = "CC-BY-4.0"\n'
    for spec in (TinyPlugin(), TinyPlugin(id="raw", n_members=0, calibrated=False)):
        write_plugin(parent, spec)
        path = parent / spec.id / "plugin.toml"
        text = path.read_text().replace('kind = "multiclass"\n', f'kind = "multiclass"\n{card}')
        path.write_text(text + AUDIT)
        if spec.calibrated:
            plugin = load_plugin(path.parent)
            (path.parent / "calibration.json").write_text(make_calibration(plugin).model_dump_json())
    return parent


@pytest.fixture
def tasks(task_folder, monkeypatch):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(task_folder))
    return task_folder


def _jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def jpegs():
    """Return six small JPEG files."""
    return [_jpeg(seed) for seed in range(6)]


@pytest.fixture
def pack(tmp_path, jpegs):
    """Write a pack of six images, the fourth of them broken."""
    files = [*jpegs[:3], jpegs[3][:60], *jpegs[4:]]
    np.savez(
        tmp_path / "pack.npz",
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        jpeg_offsets=np.r_[0, np.cumsum([len(file) for file in files])],
        y=np.array([0, 1, 0, 1, 2, 0]),
        class_names=np.array(["first", "second", "third"]),
        group_id=np.array(["=g0", "g1", "g0", "g3", "g4", "g5"]),
        split=np.array(["train", "val", "val", "val", "train", "val"]),
        sex=np.array(["male", "female", "", "male", "female", "female"]),
        age=np.array([30.0, 50, 70, 40, np.nan, 60]),
    )
    return tmp_path / "pack.npz"
