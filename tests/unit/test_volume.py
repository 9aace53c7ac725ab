"""A volume is read slice by slice; what is said of it is what its most suspicious run of slices says."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import whycad.volume as volumes
from whycad.errors import GeometryError, JobCancelledError
from whycad.inference import Ensemble, load_members
from whycad.pipeline import Hooks, analyse, predict_batch
from whycad.result_io import load_result, results_equal, save_result
from whycad.testing.plugins import TinyPlugin, make_calibration, make_study, write_plugin
from whycad.types import AnalysisRequest, AnalysisResult, DecisionKind, Prediction, Region, Study
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.ood import OodReference
from whycad.volume import slice_ranges, slice_study
from whycad.wording import GATE_BYPASSED

# Label b grows with the brightness of the image; members differ a little by their random weights.
BRIGHTNESS_NET = """
import torch
from whycad.testing.tiny_net import TinyNet

class Net(TinyNet):
    def forward(self, x):
        brightness = x.mean(dim=(1, 2, 3))
        zeros = torch.zeros_like(brightness)
        own = self.head.bias[:1] * 0.1
        return torch.stack([zeros, 8 * brightness + own, zeros - 9], dim=1)

    def forward_features(self, x):
        return x.mean(dim=(2, 3)).expand(-1, 40)

    def forward_evidence(self, x):
        return {"brightness": x.mean(dim=(1, 2, 3)), "mask": x}

def build_model():
    return Net({channels}, {n_labels})
"""
EXTRAS = """
import numpy as np
from whycad.types import Evidence, Measurement, Segmentation

def gate(study, region):
    return ("The slice is too bright.",) if study.pixels.mean() > 0.9 else ()

def evidence(study, inputs, outputs):
    assert outputs["mask"].shape == inputs.array.shape
    mask = np.zeros(study.spatial_shape, bool)
    mask[2:5, 3:9] = True
    value = float(outputs["brightness"])
    return Evidence((Measurement("brightness", value, "1"),), (), (Segmentation("box", mask, "fixed"),))
"""
SPEC = TinyPlugin(
    colour=False,
    input="per_slice = true\n",
    model=BRIGHTNESS_NET,
    files={"extras.py": EXTRAS},
    code='gate = "extras:gate"\nevidence = "extras:evidence"\n',
    must_not_miss=("b",),
)
N, SHAPE = 12, (36, 44)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    torch.set_num_threads(1)
    plugin = write_plugin(tmp_path_factory.mktemp("plugins"), SPEC)
    # Sharp sets: a label of 5 % or less is out at 90 %.
    scores = tuple(float(v) for v in np.linspace(0.0, 0.05, 99))
    calibration = make_calibration(plugin).model_copy(update={"conformal_scores": dict.fromkeys("abc", scores)})
    path = plugin.calibration_path()
    assert path is not None
    path.write_text(calibration.model_dump_json())
    return load_members(plugin, torch.device("cpu"))


def volume(brightness: list[float] | np.ndarray, *, simulated: bool = False, seed: int = 0) -> Study:
    rng = np.random.default_rng(seed)
    pixels = np.asarray(brightness)[:, None, None] + rng.uniform(-0.02, 0.02, (len(brightness), *SHAPE))
    return Study(
        pixels.astype(np.float32), "OT", "ab" * 32, spacing_mm=(0.12, 0.004, 0.011),
        position_mm=(1.0, 2.0, 3.0), simulated=simulated,
    )  # fmt: skip


def read(ensemble: Ensemble, study: Study, **request: object) -> AnalysisResult:
    return analyse(study, ensemble.plugin, AnalysisRequest(**request), ensemble=ensemble)  # type: ignore[arg-type]


def dark_but(bright: dict[int, float], n: int = N) -> np.ndarray:
    values = np.full(n, 0.05)
    for index, value in bright.items():
        values[index] = value
    return values


def test_the_profile_holds_every_slice_as_if_it_were_alone(ensemble: Ensemble) -> None:
    study = volume(np.linspace(0.1, 0.8, N))
    profile = read(ensemble, study).profile
    assert profile is not None
    assert profile.probabilities.shape == (N, 3)
    assert profile.members.shape == (2, N, 3)
    alone = predict_batch([slice_study(study, i) for i in range(N)], ensemble.plugin, ensemble)
    for i, one in enumerate(alone):
        assert isinstance(one, Prediction)
        np.testing.assert_allclose(profile.probabilities[i], one.probabilities, atol=1e-5)
        assert (profile.predicted[i], profile.decisions[i]) == (one.predicted, one.decision.kind.value)
        assert profile.epistemic[i] == pytest.approx(one.uncertainty.epistemic, abs=1e-6)


def test_the_answer_is_that_of_the_most_suspicious_run(ensemble: Ensemble) -> None:
    # A lone slice of 0.7 averages less over three than a run of 0.6.
    result = read(ensemble, volume(dark_but({2: 0.7, 7: 0.6, 8: 0.62, 9: 0.6})))
    assert result.profile is not None
    assert result.profile.shown == 8
    expected = result.profile.members[:, 7:10].mean(axis=1)
    np.testing.assert_allclose(result.prediction.member_probabilities, expected, atol=1e-6)
    assert result.prediction.predicted == "b"
    assert "slice 9 of 12" in " ".join(result.warnings)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_short_volumes_have_short_runs(ensemble: Ensemble, n: int) -> None:
    result = read(ensemble, volume([0.3] * n))
    assert result.profile is not None
    np.testing.assert_allclose(result.prediction.member_probabilities, result.profile.members.mean(axis=1), atol=1e-6)


def test_two_neighbours_with_an_open_label_refer_the_whole_and_a_lone_one_is_named(ensemble: Ensemble) -> None:
    quiet = read(ensemble, volume(dark_but({})))
    assert quiet.prediction.decision.kind is DecisionKind.REPORT
    assert quiet.prediction.conformal_set == ("a",)
    lone = read(ensemble, volume(dark_but({4: 0.52})))
    assert lone.prediction.predicted == "a"  # the run as a whole is not suspicious enough
    assert lone.prediction.decision.kind is DecisionKind.REPORT
    assert any("Label b cannot be ruled out: 1 of 12 slices (5)" in w for w in lone.warnings)
    apart = read(ensemble, volume(dark_but({4: 0.52, 6: 0.52})))
    assert not any("slices (5" in r for r in apart.prediction.decision.reasons)
    pair = read(ensemble, volume(dark_but({4: 0.52, 5: 0.52})))
    assert pair.prediction.decision.kind is DecisionKind.REFER
    assert any("Label b cannot be ruled out in 2 of 12 slices (5 to 6)" in r for r in pair.prediction.decision.reasons)
    assert not any("single slices" in w and "ruled out" in w for w in pair.warnings)
    (only,) = (read(ensemble, volume([0.52])),)
    assert only.prediction.decision.kind is DecisionKind.REFER


@pytest.fixture
def gated(ensemble: Ensemble, tmp_path: Path) -> Ensemble:
    """Its gate measures brightness: 0.3 above the dark slices is strange, 0.43 is refused."""
    plugin = write_plugin(tmp_path, SPEC)
    old, new = ensemble.plugin.calibration_path(), plugin.calibration_path()
    assert old is not None
    assert new is not None
    gate = OodReference(
        projection=((0.5, *[0.0] * 79),), centre=(-0.9,) * 80, scale=(1.0,) * 80,
        quantiles=tuple(np.linspace(0, 0.3, 101)), refer_above=0.3, reject_above=0.43,
    )  # fmt: skip
    calibration = Calibration.model_validate_json(old.read_bytes()).model_copy(update={"ood": gate})
    new.write_text(calibration.model_dump_json())
    return load_members(plugin, torch.device("cpu"))


def test_two_strange_neighbours_refer_the_whole_and_the_strangest_is_shown(gated: Ensemble) -> None:
    lone = read(gated, volume(dark_but({4: 0.36})))
    assert lone.prediction.decision.kind is DecisionKind.REPORT
    assert "Single slices unlike the calibration images: 1 of 12 slices (5)." in lone.warnings
    result = read(gated, volume(dark_but({4: 0.36, 5: 0.35})))
    assert result.profile is not None
    assert int(np.nanargmax(result.profile.ood_scores)) == 4
    gate = result.prediction.out_of_distribution
    assert gate is not None
    assert gate.score == pytest.approx(float(result.profile.ood_scores[4]), abs=1e-5)
    assert result.prediction.decision.kind is DecisionKind.REFER
    assert result.prediction.decision.reasons == ("Unlike the calibration images: 2 of 12 slices (5 to 6).",)
    assert read(gated, volume(dark_but({}))).prediction.decision.kind is DecisionKind.REPORT


def test_slices_that_the_gate_rejects_are_left_out_of_the_answer(gated: Ensemble) -> None:
    result = read(gated, volume(dark_but({4: 0.6, 5: 0.6, 6: 0.6})))
    assert result.profile is not None
    assert [result.profile.decisions[i] for i in (3, 4, 5, 6)] == ["report", "reject", "reject", "reject"]
    assert result.prediction.predicted == "a"
    assert result.prediction.decision.reasons == ("Could not be scored: 3 of 12 slices (5 to 7).",)
    everything = read(gated, volume([0.6] * 4)).prediction
    assert everything.decision.kind is DecisionKind.REJECT
    assert "unlike anything" in everything.decision.reasons[0]


def test_maps_and_outlines_lie_in_the_slice_that_is_shown(ensemble: Ensemble, tmp_path: Path) -> None:
    study = volume(dark_but({8: 0.6}))
    result = read(ensemble, study, explain=("occlusion", "ig"), region=Region((3.0, 10.0, 20.0)))
    assert result.profile is not None
    assert result.profile.shown == 3
    assert result.prediction.predicted == "a"
    for attribution in result.attributions:
        assert attribution.map.shape == study.pixels.shape
        assert attribution.map.dtype == np.float32
        elsewhere = np.delete(attribution.map, 3, axis=0)
        assert not elsewhere.any()
    flat = read(ensemble, slice_study(study, 3), explain=("ig",), target=result.attributions[1].target)
    np.testing.assert_allclose(result.attributions[1].map[3], flat.attributions[0].map, atol=1e-6)
    mask = result.segmentations[0].mask
    assert mask.shape == study.pixels.shape
    assert mask[3, 2:5, 3:9].all()
    assert mask.sum() == 18
    assert result.measurements == flat.measurements
    save_result(result, tmp_path / "case")
    assert results_equal(load_result(tmp_path / "case"), result)


def test_a_single_image_is_read_as_before(ensemble: Ensemble) -> None:
    image = slice_study(volume([0.6]), 0)
    result = read(ensemble, image, explain=("ig",))
    assert result.profile is None
    assert result.attributions[0].map.shape == SHAPE
    assert result.segmentations[0].mask.shape == SHAPE
    assert result.measurements[0].name == "brightness"


def test_slices_that_the_gate_refuses_refer_the_volume_and_have_no_numbers(ensemble: Ensemble) -> None:
    result = read(ensemble, volume(dark_but({0: 0.95, 1: 0.95, 11: 0.95})))
    assert result.profile is not None
    assert np.isnan(result.profile.probabilities[[0, 1, 11]]).all()
    assert np.isfinite(result.profile.probabilities[2:11]).all()
    assert [result.profile.decisions[i] for i in (0, 2)] == ["reject", "report"]
    assert result.profile.predicted[0] == ""
    assert result.prediction.decision.kind is DecisionKind.REFER
    assert result.prediction.decision.reasons == ("Could not be scored: 3 of 12 slices (1 to 2, 12).",)


def test_a_refused_slice_that_is_asked_for_has_no_maps(ensemble: Ensemble) -> None:
    study = volume(dark_but({0: 0.95}))
    result = read(ensemble, study, explain=("ig",), region=Region((0.0, 1.0, 1.0)))
    assert result.attributions == ()
    assert result.segmentations == ()
    assert any("Slice 1 cannot be scored" in warning and "too bright" in warning for warning in result.warnings)


def test_a_volume_of_refused_slices_gets_no_answer(ensemble: Ensemble) -> None:
    result = read(ensemble, volume([0.95] * 4), explain=("ig",))
    assert result.prediction.decision.kind is DecisionKind.REJECT
    assert result.prediction.decision.reasons == ("The slice is too bright.",)
    assert np.isnan(result.prediction.probabilities).all()
    assert result.attributions == ()
    assert result.profile is not None
    assert set(result.profile.decisions) == {"reject"}


def test_a_refused_simulated_volume_is_shown_for_demonstration_and_stays_refused(ensemble: Ensemble) -> None:
    result = read(ensemble, volume([0.95] * 4, simulated=True))
    assert result.prediction.decision.kind is DecisionKind.REJECT
    assert result.prediction.decision.reasons == ("The slice is too bright.",)
    assert np.isfinite(result.prediction.probabilities).all()
    assert GATE_BYPASSED in result.warnings
    assert GATE_BYPASSED not in read(ensemble, volume([0.2] * 4, simulated=True)).warnings


def test_progress_goes_slice_by_slice_and_cancelling_stops_between_batches(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "SLICES_TOGETHER", 4)
    seen: list[str] = []
    asked: list[int] = []
    hooks = Hooks(progress=lambda p: seen.append(p.message))
    analyse(volume([0.1] * N), ensemble.plugin, AnalysisRequest(), ensemble=ensemble, hooks=hooks)
    assert [message for message in seen if message.startswith("Slice")] == [f"Slice {i} of 12" for i in (1, 5, 9)]

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(JobCancelledError):
        analyse(
            volume([0.1] * N), ensemble.plugin, AnalysisRequest(), ensemble=ensemble, hooks=Hooks(cancelled=cancelled)
        )
    assert len(asked) == 4


def test_memory_does_not_grow_with_the_volume(ensemble: Ensemble) -> None:
    def peak(n: int) -> int:
        study = volume(np.full(n, 0.1))
        tracemalloc.start()
        read(ensemble, study)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(8)
    small, large = peak(80), peak(640)
    inputs = 560 * 32 * 40 * 4
    assert large - small < inputs / 2, "the network's inputs of all slices are held at once"


def test_in_a_batch_a_volume_has_its_own_answer(ensemble: Ensemble) -> None:
    bright = volume(dark_but({7: 0.6, 8: 0.62, 9: 0.6}))
    outcomes = predict_batch([bright, slice_study(bright, 0)], ensemble.plugin, ensemble)
    assert [o.predicted for o in outcomes if isinstance(o, Prediction)] == ["b", "a"]


@pytest.mark.parametrize("region", [Region((1.0, 2.0)), Region((99.0, 1.0, 1.0)), Region((1.0, float("nan"), 1.0))])
def test_a_region_off_the_volume_is_an_error(ensemble: Ensemble, region: Region) -> None:
    with pytest.raises(GeometryError):
        read(ensemble, volume([0.1] * 3), region=region)


def test_a_volume_of_another_modality_gets_no_score(ensemble: Ensemble) -> None:
    result = read(ensemble, replace(volume([0.1] * 3), modality="CT"))
    assert "modality CT" in result.prediction.decision.reasons[0]
    assert result.profile is None


def test_a_task_of_single_images_refuses_a_volume(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, TinyPlugin(colour=False))
    study = replace(make_study(colour=False), pixels=volume([0.1, 0.2]).pixels)
    decision = analyse(study, plugin, AnalysisRequest()).prediction.decision
    assert decision.reasons == ("This is a volume; this task reads single images.",)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_ranges_name_every_slice(slices: set[int]) -> None:
    text = slice_ranges(sorted(slices))
    if "others" in text:
        return
    named: set[int] = set()
    for part in text.split(", "):
        first, _, last = part.partition(" to ")
        named |= set(range(int(first) - 1, int(last or first)))
    assert named == slices
