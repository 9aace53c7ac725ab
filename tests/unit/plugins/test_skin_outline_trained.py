"""The stored outline network: on simulated lesions, on the real val split, and the same on CUDA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plugins.skin_lesion.data import LABELS
from plugins.skin_lesion.evidence import evidence
from plugins.skin_lesion.outline_figures import drawn_by, outlined
from plugins.skin_lesion.phantom import SAMPLES, make_case
from plugins.skin_lesion.preprocess import preprocess
from whycad.audit.outlines import dice_of, outline_summary
from whycad.datasets.pack import read_pack
from whycad.evidence_model import EvidenceModel, load_evidence_model
from whycad.phantom import PhantomCase
from whycad.plugin import load_plugin
from whycad.registry import builtin_folder

PLUGIN = load_plugin(builtin_folder() / "skin_lesion")


@pytest.fixture(scope="module")
def model() -> EvidenceModel:
    found = load_evidence_model(PLUGIN, torch.device("cpu"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def nevus() -> PhantomCase:
    return make_case(SAMPLES[0].seed, SAMPLES[0].options)


def test_a_simulated_lesion_is_outlined(model: EvidenceModel, nevus: PhantomCase) -> None:
    assert nevus.mask is not None
    assert dice_of(drawn_by(model)(nevus.study.pixels), nevus.mask) > 0.85


def test_a_lesion_off_the_middle_is_outlined_too(model: EvidenceModel, nevus: PhantomCase) -> None:
    rows, columns = (slice(int(side * 0.25), None) for side in nevus.study.spatial_shape)
    part = np.ascontiguousarray(nevus.study.pixels[rows, columns])
    assert nevus.mask is not None
    assert dice_of(drawn_by(model)(part), nevus.mask[rows, columns]) > 0.85


def test_bare_skin_has_no_shape(model: EvidenceModel, nevus: PhantomCase) -> None:
    skin = np.full((150, 200, 3), (0.85, 0.65, 0.6), np.float32)
    skin += np.random.default_rng(0).normal(0, 0.01, skin.shape).astype(np.float32)
    bare = replace(nevus.study, pixels=skin)
    inputs = preprocess(bare, None)
    outputs = {name: array[0, 0] for name, array in model.run(torch.from_numpy(inputs.array[None])).items()}
    keys = {item.key for item in evidence(bare, inputs, outputs).measurements}
    assert "border_irregularity" not in keys


@pytest.mark.data
def test_real_lesions_of_val_are_outlined(model: EvidenceModel, data_dir: Path) -> None:
    pack = read_pack(data_dir / "skin" / "ham10000.npz")
    cases = list(outlined(pack, pack.rows("val")[::40], drawn_by(model), cropped=False))
    found = outline_summary(cases, LABELS)
    assert found["dice_quartiles"][1] > 0.88
    assert found["dice_mean"]["value"] > 0.8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_outline(model: EvidenceModel, nevus: PhantomCase) -> None:
    other = load_evidence_model(PLUGIN, torch.device("cuda"))
    assert other is not None
    batch = torch.from_numpy(preprocess(nevus.study, None).array[None])
    np.testing.assert_allclose(other.run(batch)["mask"], model.run(batch)["mask"], atol=0.02)
