"""Results survive saving, bit by bit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.errors import StoreError
from whycad.result_io import ARRAYS_NAME, JSON_NAME, load_result, result_to_json, results_equal, save_result
from whycad.types import (
    AnalysisRequest,
    AnalysisResult,
    Attribution,
    Concept,
    Decision,
    DecisionKind,
    EvidenceLevel,
    Fidelity,
    Measurement,
    OutOfDistribution,
    Prediction,
    Provenance,
    Region,
    Segmentation,
    SliceProfile,
    Uncertainty,
)


def make_result(seed=0, k=3, reason="because"):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k)).astype(np.float32)
    labels = tuple("abcdefg"[:k])
    prediction = Prediction(
        labels, p, rng.random((5, k), dtype=np.float32), labels[0], labels[:2], 0.9, p,
        Uncertainty(0.3, float("nan"), 0.1), OutOfDistribution(1.5, 38.0, 2.0, "distance"),
        Decision(DecisionKind.REFER, (reason,)), {"bad": (0.4, 0.2)},
    )  # fmt: skip
    maps = (
        Attribution("ig", "a", rng.normal(size=(6, 8)).astype(np.float32), True, {"steps": 50, "x": 0.5, "on": True},
                    3, Fidelity(convergence_delta=0.01, remarks=("fine",))),
    )  # fmt: skip
    request = AnalysisRequest(("ig",), "a", Region((1.0, 2.0), (3.0, 4.5)), 0.9, 3)
    provenance = Provenance("t", "1.0.0", "0" * 64, "0.1.0", "cpu", "float32", EvidenceLevel.REAL, "now", 3)
    concepts = (Concept("margin", "How sharp?", ("poor", "sharp"), (0.25, 0.75)),)
    outlines = (Segmentation("nodule", rng.random((6, 8)) > 0.5, "members' mean"),)
    scores = rng.random((2, 4, k), dtype=np.float32)
    scores[:, 1] = np.nan
    flat = rng.random(4, dtype=np.float32)
    profile = SliceProfile(scores[0], scores, (labels[0],) * 4, ("refer",) * 4, flat, flat, 2)
    return AnalysisResult(
        "f" * 64, (6, 8), request, prediction, maps, (Measurement("d", 2.0, "mm", (1.0, 3.0)),), provenance,
        ("w",), {"sex": "female", "age_years": 50.0}, True, concepts, outlines, profile,
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 7), st.text(max_size=30))
def test_a_saved_result_is_the_same_when_loaded(tmp_path_factory, seed, k, reason):
    result = make_result(seed, k, reason)
    folder = tmp_path_factory.mktemp("r") / "case"
    save_result(result, folder)
    loaded = load_result(folder)
    assert results_equal(result, loaded)
    assert isinstance(loaded.prediction.decision.kind, DecisionKind)
    assert loaded.request == result.request
    assert loaded.concepts == result.concepts
    assert isinstance(loaded.profile, SliceProfile)
    assert loaded.segmentations[0].mask.dtype == np.bool_


def test_a_changed_map_is_noticed():
    result = make_result()
    other = replace(result.attributions[0], map=result.attributions[0].map + np.float32(1e-6))
    assert not results_equal(result, replace(result, attributions=(other,)))


def test_a_disagreement_map_is_kept_bit_by_bit_and_left_out_of_plain_json(tmp_path):
    result = make_result()
    differs = np.random.default_rng(1).random((6, 8), dtype=np.float32)
    result = replace(result, attributions=(replace(result.attributions[0], disagreement=differs),))
    save_result(result, tmp_path / "case")
    loaded = load_result(tmp_path / "case")
    assert results_equal(loaded, result)
    assert not results_equal(loaded, make_result())
    assert loaded.attributions[0].disagreement.dtype == np.float32
    assert "disagreement" not in result_to_json(result)["attributions"][0]
    assert result_to_json(result, with_maps=True)["attributions"][0]["disagreement"] == differs.tolist()


def test_a_changed_outline_is_noticed():
    result = make_result()
    other = replace(result.segmentations[0], mask=~result.segmentations[0].mask)
    assert not results_equal(result, replace(result, segmentations=(other,)))


def test_a_result_saved_before_members_were_compared_still_loads(tmp_path):
    result = make_result()
    save_result(result, tmp_path / "case")
    body = json.loads((tmp_path / "case" / JSON_NAME).read_text())
    del body["result"]["attributions"][0]["disagreement"], body["result"]["request"]["each_way"]
    (tmp_path / "case" / JSON_NAME).write_text(json.dumps(body))
    assert results_equal(load_result(tmp_path / "case"), result)


def test_a_result_saved_before_there_was_evidence_still_loads(tmp_path):
    result = replace(make_result(), concepts=(), segmentations=(), profile=None)
    save_result(result, tmp_path / "case")
    body = json.loads((tmp_path / "case" / JSON_NAME).read_text())
    for name in ("concepts", "segmentations", "profile"):
        del body["result"][name]
    (tmp_path / "case" / JSON_NAME).write_text(json.dumps(body))
    assert results_equal(load_result(tmp_path / "case"), result)


@pytest.mark.parametrize("written", [None, (40, 0, 100), (0, 0, 0), (63, 127, 127)])
@pytest.mark.parametrize("value", [1.5, float("nan"), -0.0])
def test_maps_of_large_volumes_are_kept_by_the_box_that_holds_them(tmp_path, written, value):
    shape = (64, 128, 128)
    values = np.zeros(shape, np.float32)
    mask = np.zeros(shape, bool)
    if written is not None:
        values[written], mask[written] = value, True
        values[20, 50:60, 7] = 2.0
    result = make_result()
    result = replace(
        result, source_shape=shape, attributions=(replace(result.attributions[0], map=values),),
        segmentations=(replace(result.segmentations[0], mask=mask),),
    )  # fmt: skip
    save_result(result, tmp_path / "case")
    loaded = load_result(tmp_path / "case")
    assert results_equal(loaded, result)
    assert loaded.attributions[0].map.tobytes() == values.tobytes()
    assert loaded.segmentations[0].mask.dtype == np.bool_
    with np.load(tmp_path / "case" / ARRAYS_NAME) as archive:
        kept = archive["result.segmentations.0.mask"]
        assert kept.size == (written is not None)
    changed = values.copy()
    changed[0, 0, 1] = 3.0
    other = replace(result, attributions=(replace(result.attributions[0], map=changed),))
    assert not results_equal(result, other)


def test_json_is_plain_and_has_no_nan():
    text = json.dumps(result_to_json(make_result()), allow_nan=False)
    body = json.loads(text)
    assert body["prediction"]["predicted"] == "a"
    assert "map" not in body["attributions"][0]
    assert "mask" not in body["segmentations"][0]
    assert body["segmentations"][0]["n_pixels"] > 0
    assert body["profile"]["probabilities"][1] == [None, None, None]
    assert "not for clinical use" in body["notice"]


def test_json_holds_maps_where_asked():
    assert np.shape(result_to_json(make_result(), with_maps=True)["attributions"][0]["map"]) == (6, 8)


def test_saving_twice_to_one_folder_does_not_mix(tmp_path):
    save_result(make_result(), tmp_path / "case")
    with pytest.raises(StoreError, match="cannot be saved"):
        save_result(make_result(1), tmp_path / "case")
    assert results_equal(load_result(tmp_path / "case"), make_result())
    assert [p.name for p in tmp_path.iterdir()] == ["case"]


@pytest.mark.parametrize("damage", ["json", "arrays", "missing", "format"])
def test_broken_entries_are_errors(tmp_path, damage):
    folder = tmp_path / "case"
    save_result(make_result(), folder)
    if damage == "json":
        (folder / JSON_NAME).write_text("{")
    elif damage == "arrays":
        (folder / ARRAYS_NAME).write_bytes(b"PK nothing")
    elif damage == "missing":
        (folder / ARRAYS_NAME).unlink()
    else:
        (folder / JSON_NAME).write_text('{"format": "other"}')
    with pytest.raises(StoreError):
        load_result(folder)
