"""``what_if``: images, volumes read whole and by slices, and requests that cannot be met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.errors import GeometryError, PredictionError
from whycad.hooks import Hooks
from whycad.inference import Ensemble, load_members
from whycad.testing.planted import with_blob
from whycad.testing.plugins import write_plugin
from whycad.testing.volume_plugins import PATCHES, SLICES, make_volume
from whycad.types import AnalysisRequest, Progress, Region
from whycad.whatif.request import WhatIfKind, WhatIfRequest
from whycad.whatif.run import what_if
from whycad.whatif.scene import SLICE_REMARK

BOX = WhatIfRequest(WhatIfKind.REGION, box=Region((3, 12, 12), (5, 20, 20)))
SEED = AnalysisRequest(region=Region((4.0, 20.0, 22.0)))


def load(folder: Path, spec: object) -> Ensemble:
    return load_members(write_plugin(folder, spec), torch.device("cpu"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load(tmp_path_factory.mktemp("patches"), PATCHES)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load(tmp_path_factory.mktemp("slices"), SLICES)


@pytest.mark.parametrize("kind", list(WhatIfKind))
def test_every_kind_works_on_a_volume_that_is_read_whole(patches: Ensemble, kind: WhatIfKind) -> None:
    volume = make_volume()
    what = BOX if kind is WhatIfKind.REGION else WhatIfRequest(kind)
    for found in what_if(volume, patches, SEED, what):
        assert found.mask.shape == volume.pixels.shape
        assert found.picture.shape == volume.pixels.shape[1:]
        assert found.shown == 4
        assert np.isfinite(found.after.probabilities).all()


@pytest.mark.parametrize("kind", list(WhatIfKind))
def test_of_a_volume_that_is_read_by_slices_one_slice_is_changed(slices: Ensemble, kind: WhatIfKind) -> None:
    volume = make_volume()
    what = BOX if kind is WhatIfKind.REGION else WhatIfRequest(kind, slices=(4, 4))
    for found in what_if(volume, slices, AnalysisRequest(), what):
        assert found.mask.shape == volume.pixels.shape
        assert not np.delete(found.mask, 4, axis=0).any()
        assert found.picture.shape == volume.pixels.shape[1:]
        assert SLICE_REMARK in found.remarks


def test_padding_is_listed_with_what_its_removal_changes(slices: Ensemble) -> None:
    image = replace(make_volume(), pixels=make_volume().pixels[4].copy(), spacing_mm=None)
    image.pixels[:8] = 0
    (found,) = what_if(image, slices, AnalysisRequest(), WhatIfRequest(WhatIfKind.ARTEFACT))
    assert found.name == "padding"
    assert found.mask[:8].all()
    assert not found.mask[8:].any()
    assert found.title.startswith("Without the padding, ")
    other = WhatIfRequest(WhatIfKind.ARTEFACT, artefact="ink")
    assert what_if(image, slices, AnalysisRequest(), other) == ()


def test_progress_is_told_and_ends_at_one(blob_task: Ensemble) -> None:
    heard: list[Progress] = []
    what = WhatIfRequest(WhatIfKind.FRAGILITY)
    what_if(with_blob(), blob_task, AnalysisRequest(), what, Hooks(progress=heard.append))
    fractions = [progress.fraction for progress in heard]
    assert fractions == sorted(fractions)
    assert (heard[-1].stage, heard[-1].fraction) == ("done", 1.0)


def test_a_region_outside_and_an_image_that_cannot_be_scored_are_refused(blob_task: Ensemble) -> None:
    outside = WhatIfRequest(WhatIfKind.REGION, box=Region((90, 90), (99, 99)))
    with pytest.raises(GeometryError, match="no pixel"):
        what_if(with_blob(), blob_task, AnalysisRequest(), outside)
    flat = replace(with_blob(), pixels=np.zeros((32, 32), np.float32))
    with pytest.raises(PredictionError, match="nothing can be compared"):
        what_if(flat, blob_task, AnalysisRequest(), WhatIfRequest(WhatIfKind.FRAGILITY))


def test_the_same_request_gives_the_same_answer(blob_task: Ensemble) -> None:
    what = WhatIfRequest(WhatIfKind.COUNTERFACTUAL, goal="below", seed=2)
    first, second = (what_if(with_blob(), blob_task, AnalysisRequest(), what)[0] for _ in range(2))
    assert np.array_equal(first.picture, second.picture)
    assert first.title == second.title
