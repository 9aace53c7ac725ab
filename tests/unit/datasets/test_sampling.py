"""A picker's choice of real cases: only packs of the task, mixed, and the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whycad.datasets.sampling import choose_cases
from whycad.errors import DatasetError
from whycad.plugin import Plugin
from whycad.testing.plugins import TinyPlugin, write_plugin

READ_ROW = """
import numpy as np

from whycad.types import Region, Study


def read_row(pack, row):
    if pack.path.stem == "odd" and row == 3:
        raise ValueError("broken")
    return Study(pack.image(row).astype(np.float32) / 255, "OT", f"{row:064x}"), Region((5.0, 6.0))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    spec = TinyPlugin(
        id="sampled", colour=False, files={"rows.py": READ_ROW}, code='read_row = "rows:read_row"\n', labels=("a", "b")
    )
    return write_plugin(tmp_path / "plugins", spec)


def write_pack(path: Path, labels: list[str], split: str = "val", **columns: object) -> None:
    path.parent.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 255, (len(labels), 40, 50), dtype=np.uint8)
    np.savez(path, images=images, label=np.array(labels), split=np.array([split] * len(labels)), **columns)


def test_cases_come_with_region_and_label_the_same_every_time(plugin: Plugin, tmp_path: Path) -> None:
    write_pack(tmp_path / "data" / "eyes.npz", ["a", "b"] * 10)
    chosen = choose_cases(tmp_path / "data", plugin, per_class=3)
    assert sorted(case.label for case in chosen) == ["a"] * 3 + ["b"] * 3
    assert all(case.region is not None and not case.study.simulated for case in chosen)
    again = choose_cases(tmp_path / "data", plugin, per_class=3)
    assert [case.name for case in again] == [case.name for case in chosen]


def test_rows_that_cannot_be_read_are_left_out(plugin: Plugin, tmp_path: Path) -> None:
    write_pack(tmp_path / "data" / "odd.npz", ["a", "b"] * 3)
    names = {case.name for case in choose_cases(tmp_path / "data", plugin)}
    assert names == {f"odd {row}" for row in (0, 1, 2, 4, 5)}


@pytest.mark.parametrize("labels", [["a", "a"], ["a", "b", "c"], ["x", "y"]])
def test_packs_of_other_labels_are_not_the_tasks(plugin: Plugin, tmp_path: Path, labels: list[str]) -> None:
    write_pack(tmp_path / "data" / "other.npz", labels)
    assert choose_cases(tmp_path / "data", plugin) == ()


def test_training_rows_are_never_offered(plugin: Plugin, tmp_path: Path) -> None:
    write_pack(tmp_path / "data" / "eyes.npz", ["a", "b"], split="train")
    assert choose_cases(tmp_path / "data", plugin) == ()


def test_a_broken_pack_is_an_error_only_where_nothing_else_is_there(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    np.savez(
        tmp_path / "data" / "a.npz", images=np.zeros((2, 3)), label=np.array(["a", "b"]), split=np.array(["val"] * 2)
    )
    with pytest.raises(DatasetError, match=r"a\.npz"):
        choose_cases(tmp_path / "data", plugin)
    write_pack(tmp_path / "data" / "b.npz", ["a", "b"])
    assert len(choose_cases(tmp_path / "data", plugin)) == 2


def test_files_that_are_no_packs_are_passed_over(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "notes.npz").write_bytes(b"not a zip")
    assert choose_cases(tmp_path, plugin) == ()
