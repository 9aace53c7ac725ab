"""Simulated samples as a data set, and which data sets may be named from a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whycad.audit.data.allowed import allowed_path
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.samples import SAMPLES, open_samples
from whycad.errors import DatasetError
from whycad.plugin import Plugin
from whycad.testing.plugins import TinyPlugin, write_plugin

PHANTOM = """
import numpy as np

from whycad.phantom import PhantomCase
from whycad.testing.plugins import make_study


def sample_cases():
    mask, kinds = np.zeros((48, 60), bool), (("ruler",), ())
    return [PhantomCase(make_study(seed=n), mask, "ab"[n // 2], f"S{n}", "", kinds[n % 2]) for n in range(4)]
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return write_plugin(tmp_path, TinyPlugin(files={"phantom.py": PHANTOM}, code='phantom = "phantom:sample_cases"'))


def test_samples_have_labels_splits_artefacts_and_pictures(plugin: Plugin) -> None:
    data = open_samples(plugin)
    assert data.cases.ids.tolist() == ["S0", "S1", "S2", "S3"]
    assert data.cases.labels.tolist() == ["a", "a", "b", "b"]
    assert data.cases.splits.tolist() == ["val", "train", "val", "train"]
    column = data.cases.column("ruler")
    assert column is not None
    assert (column.role, column.values.tolist()) == ("artefact", ["yes", "no", "yes", "no"])
    assert data.picture(1).shape == (48, 60, 3)
    assert data.case(1)[0].simulated
    assert data.mask(0) is not None
    assert data.file_bytes(0) is None
    assert len({data.content(row) for row in range(4)}) == 4
    assert len(data.sha256) == 64


def test_without_a_task_there_are_no_samples() -> None:
    with pytest.raises(DatasetError, match="no simulated samples"):
        DatasetRef(SAMPLES).open()


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, ...]:
    (tmp_path / "data" / "skin").mkdir(parents=True)
    np.savez(tmp_path / "data" / "skin" / "a.npz", x=np.zeros(1))
    (tmp_path / "secret.npz").write_bytes(b"x")
    (tmp_path / "data" / "link.npz").symlink_to(tmp_path / "secret.npz")
    (tmp_path / "data2").mkdir()
    return (tmp_path / "none", tmp_path / "data")


def test_a_data_set_below_an_allowed_folder_may_be_named(roots: tuple[Path, ...]) -> None:
    expected = (roots[1] / "skin" / "a.npz").resolve()
    assert allowed_path("skin/a.npz", roots) == expected
    assert allowed_path(str(expected), roots) == expected


@pytest.mark.parametrize(
    "named", ["", "../secret.npz", "link.npz", "/etc/passwd", "none.npz", ".", "../data2", "a\0b", "x" * 2000, "~"]
)
def test_anything_else_is_refused_in_the_same_words(roots: tuple[Path, ...], named: str) -> None:
    with pytest.raises(DatasetError, match="in the folders that may be read from here"):
        allowed_path(named, roots)


def test_without_folders_nothing_may_be_named(roots: tuple[Path, ...]) -> None:
    with pytest.raises(DatasetError):
        allowed_path(str(roots[1] / "skin" / "a.npz"), ())
