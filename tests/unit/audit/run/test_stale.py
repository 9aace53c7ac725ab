"""What is in the cache is taken for another table, pack or mask only where it would come out the same."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
from PIL import Image

from whycad.audit.changes.change import Change
from whycad.audit.changes.fragile import FragilityJob
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.changed import ChangedJob
from whycad.audit.run.found import FoundJob
from whycad.audit.run.grades import GradeJob
from whycad.audit.run.maps import MapJob
from whycad.audit.run.predicting import PredictJob
from whycad.testing.plugins import TinyPlugin, write_plugin

OUTLINED = {
    "changed": lambda ref: ChangedJob(ref, (Change("keep", "background"),), device="cpu"),
    "grades": lambda ref: GradeJob(ref, ("ig",), device="cpu"),
}
JOBS = {
    "predictions": lambda ref: PredictJob(ref, "cpu"),
    "artefacts": FoundJob,
    "maps": lambda ref: MapJob(ref, "ig", "cpu"),
    "fragility": lambda ref: FragilityJob(ref, "cpu"),
    **OUTLINED,
}
ROWS = [{"label": "a", "point": "3 4", "mask": "masks/0.png"}, {"label": "b", "point": "5 6", "mask": ""}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plugins")


@pytest.fixture(scope="module", autouse=True)
def tasks(folder):
    write_plugin(folder, TinyPlugin())
    write_plugin(folder, TinyPlugin(id="pointed", input="needs_region = true\n"))
    (folder / "none").mkdir()


@pytest.fixture(autouse=True)
def only_these(folder, monkeypatch):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(folder))
    monkeypatch.setattr("whycad.registry.builtin_folder", lambda: folder / "none")


@pytest.fixture
def table(tmp_path):
    """Write the table with one cell changed and return how it is opened."""
    (tmp_path / "masks").mkdir()
    for row in range(2):
        grey = np.random.default_rng(row).integers(0, 255, (20, 24), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{row}.png")
    draw_mask(tmp_path, 2)
    stamps = iter(range(1, 100))

    def written(row=0, task="tiny", **cells):
        path = tmp_path / "table.csv"
        with path.open("w", newline="") as stream:
            out = csv.DictWriter(stream, ["image", "label", "point", "mask"])
            out.writeheader()
            out.writerows(
                {"image": f"{number}.png", **one, **(cells if number == row else {})} for number, one in enumerate(ROWS)
            )
        # A table that is written twice within a tick of the clock would count as one.
        os.utime(path, ns=(next(stamps) * 10**9,) * 2)
        return DatasetRef(path, task)

    return written


def draw_mask(folder, side):
    mask = np.zeros((20, 24), np.uint8)
    mask[:side, :side] = 255
    Image.fromarray(mask).save(folder / "masks/0.png")


def write_pack(path, *, spacing=1.0, side=2, label=0):
    mask = np.zeros((3, 20, 24), np.uint8)
    mask[0, :side, :side] = 1
    images = np.random.default_rng(0).integers(0, 255, (3, 20, 24), dtype=np.uint8)
    names, y = np.array(["a", "b", "c"]), np.array([label, 1, 2])
    np.savez(path, images=images, y=y, class_names=names, mask=mask, spacing=np.full(3, spacing))
    os.utime(path, ns=(hash((spacing, side, label)) % 10**9 * 10**9,) * 2)


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("task", ["tiny", "pointed"])
def test_another_point_is_another_digest_and_another_label_is_not(table, name, task):
    job = JOBS[name](table(task=task))
    before = job.digest
    table(task=task, point="3 5")
    assert job.digest != before
    table(task=task, point="")
    assert job.digest != before
    table(task=task, label="c")
    assert job.digest == before


@pytest.mark.parametrize("name", JOBS)
def test_another_mask_is_another_key_of_its_row_where_outlines_are_looked_at(table, tmp_path, name):
    job = JOBS[name](table())
    digest, before = job.digest, job.content([0, 1])
    draw_mask(tmp_path, 3)
    after = job.content([0, 1])
    assert (after[0] != before[0]) is (name in OUTLINED)
    assert after[1] == before[1]
    draw_mask(tmp_path, 2)
    assert job.content([0, 1]) == before
    assert job.digest == digest
    table(mask="")
    assert (job.content([0])[0] != before[0]) is (name in OUTLINED)


@pytest.mark.parametrize("name", JOBS)
def test_a_mask_of_a_pack_counts_for_its_row(tmp_path, name):
    write_pack(tmp_path / "pack.npz")
    job = JOBS[name](DatasetRef(tmp_path / "pack.npz", "tiny"))
    digest, before = job.digest, job.content([0, 1, 2])
    write_pack(tmp_path / "pack.npz", side=3, label=1)
    after = job.content([0, 1, 2])
    assert (after[0] != before[0]) is (name in OUTLINED)
    assert after[1:] == before[1:]
    assert job.digest == digest


@pytest.mark.parametrize("name", JOBS)
def test_a_pack_counts_as_a_whole_where_a_task_reads_its_columns(tmp_path, name):
    write_pack(tmp_path / "pack.npz")
    job = JOBS[name](DatasetRef(tmp_path / "pack.npz", "pointed"))
    before = job.digest
    write_pack(tmp_path / "pack.npz", spacing=2.0)
    assert job.digest != before
    write_pack(tmp_path / "pack.npz")
    assert job.digest == before
