"""What-ifs as files: lossless, and only for the case they are of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whycad.errors import StoreError
from whycad.inference import Ensemble
from whycad.result_io import load_result
from whycad.testing.planted import blob_mask, with_blob
from whycad.types import Study
from whycad.whatif.fragility import fragility
from whycad.whatif.removal import remove_region
from whycad.whatif.result import load_what_ifs, save_what_ifs
from whycad.whatif.scene import Scene


def test_a_round_trip_loses_nothing(
    blob_task: Ensemble, open_case: Callable[[Study, Ensemble], Scene], tmp_path: Path
) -> None:
    scene = open_case(with_blob(), blob_task)
    saved = (remove_region(scene, blob_mask(), 3), fragility(scene))
    save_what_ifs(saved, tmp_path / "case", "s", "p")
    loaded = load_what_ifs(tmp_path / "case", "s", "p")
    assert len(loaded) == 2
    for before, after in zip(saved, loaded, strict=True):
        assert (before.kind, before.title, before.remarks) == (after.kind, after.title, after.remarks)
        assert dict(before.parameters) == dict(after.parameters)
        assert (before.seed, before.shown, before.accepted) == (after.seed, after.shown, after.accepted)
        for a, b in ((before.mask, after.mask), (before.picture, after.picture)):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(before.after.probabilities, after.after.probabilities)
        assert before.after.decision == after.after.decision
    assert loaded[0].sham is not None
    assert loaded[0].sham_change() == saved[0].sham_change()
    assert loaded[1].sham is None


def test_none_found_is_kept_too(tmp_path: Path) -> None:
    save_what_ifs((), tmp_path / "case", "s", "p")
    assert load_what_ifs(tmp_path / "case", "s", "p") == ()


def test_another_case_another_format_and_broken_files_are_refused(tmp_path: Path) -> None:
    save_what_ifs((), tmp_path / "case", "s", "p")
    for study, plugin in (("t", "p"), ("s", "q")):
        with pytest.raises(StoreError, match="another case"):
            load_what_ifs(tmp_path / "case", study, plugin)
    with pytest.raises(StoreError, match="not of format"):
        load_result(tmp_path / "case")
    (tmp_path / "case" / "result.json").write_text('{"format": "whycad-what-if-1", "result": {"items": 3}}')
    with pytest.raises(StoreError, match="cannot be read"):
        load_what_ifs(tmp_path / "case", "s", "p")
