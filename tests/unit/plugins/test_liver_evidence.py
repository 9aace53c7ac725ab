"""Evidence: outlines in the right place, and a ratio that is the one in the image."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.liver_fibrosis.data import organ_shares, slice_study
from plugins.liver_fibrosis.evidence import core, evidence, liver_to_spleen, organ_masks
from plugins.liver_fibrosis.phantom import SAMPLES, sample_cases
from plugins.liver_fibrosis.preprocess import preprocess
from plugins.liver_fibrosis.simulator import simulate
from plugins.liver_fibrosis.simulator_scanner import SCANNERS


def outputs_of(item, stage=2):
    """What a perfect network would say of a slice."""
    return {
        "organs": (organ_shares(item)[1] / 255).astype(np.float32),
        "signs": np.tile(np.array([0.2, 0.5, 0.3], np.float32), (8, 1)),
        "stages": np.eye(5, dtype=np.float32)[stage],
    }


@pytest.mark.parametrize("seed", range(4))
def test_outlines_lie_on_the_organs(seed):
    item = simulate((44, seed), seed, "B")
    study = slice_study(item)
    masks = organ_masks(outputs_of(item)["organs"], preprocess(study, None))
    for organ in ("liver", "spleen"):
        both = 2 * (masks[organ] & item.masks[organ]).sum()
        assert both / (masks[organ].sum() + item.masks[organ].sum()) > (0.9 if organ == "liver" else 0.75)


def test_the_ratio_is_the_painted_one_up_to_the_coil():
    pairs = []
    for seed in range(12):
        item = simulate((45, seed), seed % 5, "A")
        found = evidence(slice_study(item), preprocess(slice_study(item), None), outputs_of(item))
        ratio = next(m for m in found.measurements if m.name == "Liver-to-spleen ratio")
        pairs.append((ratio.value, item.latents["realised_liver_to_spleen"]))
    measured, painted = np.array(pairs).T
    assert np.median(np.abs(measured / painted - 1)) < 0.12


def test_evidence_is_whole():
    item = simulate((46, 0), 4, "C")
    found = evidence(slice_study(item), preprocess(slice_study(item), None), outputs_of(item, stage=3))
    assert {s.name for s in found.segmentations} == {"liver", "spleen"}
    assert all("simulated" in s.method for s in found.segmentations)
    assert all(s.mask.shape == item.image.shape for s in found.segmentations)
    assert len(found.concepts) == 8
    assert found.concepts[0].expected == pytest.approx(2.1)
    stage = next(m for m in found.measurements if m.name.startswith("Expected stage"))
    assert stage.value == pytest.approx(3)


def test_without_organs_nothing_is_measured_in_them():
    item = simulate((46, 0), 4, "C")
    outputs = outputs_of(item) | {"organs": np.zeros((2, 28, 36), np.float32)}
    found = evidence(slice_study(item), preprocess(slice_study(item), None), outputs)
    assert found.segmentations == ()
    assert all("iver" not in m.name for m in found.measurements)
    nowhere = np.zeros_like(item.masks["liver"])
    assert liver_to_spleen(slice_study(item), {"liver": item.masks["liver"], "spleen": nowhere}) is None


def test_the_core_lies_inside():
    mask = np.zeros((40, 40), bool)
    mask[5:35, 10:30] = True
    inner = core(mask)
    assert inner.sum() < mask.sum()
    assert not (inner & ~mask).any()
    tiny = np.zeros((40, 40), bool)
    tiny[3:5, 3:5] = True
    assert np.array_equal(core(tiny), tiny)


def test_samples_show_every_stage_and_scanner():
    cases = sample_cases()
    assert len(cases) >= 8
    assert {case.label for case in cases} == {"F0", "F1", "F2", "F3", "F4"}
    assert {sample.scanner for sample in SAMPLES} == set(SCANNERS)
    assert len({case.name for case in cases}) == len({sample.seed for sample in SAMPLES}) == len(cases)
    for case in cases:
        assert case.study.simulated
        assert case.study.modality == "MR"
        assert "Simulated" in case.description
        assert case.mask.shape == case.study.spatial_shape
        assert case.mask.any()
