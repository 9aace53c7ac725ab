"""``analyse`` from study to result, and ``predict_batch`` that loses no case."""

from dataclasses import replace

import numpy as np
import pytest

from whycad.errors import GeometryError, JobCancelledError, ManifestError, PluginError
from whycad.explain import METHODS, fitting_methods
from whycad.pipeline import Hooks, analyse, predict_batch
from whycad.plugin import load_plugin
from whycad.reference import Distribution, Reference, ReferenceSource, distribution_of
from whycad.result_io import load_result, results_equal, save_result
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest, DecisionKind, Prediction, Region
from whycad.wording import GATE_BYPASSED


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    return write_plugin(tmp_path_factory.mktemp("plugins"))


def load(plugin):
    import torch

    from whycad.inference import load_members

    return load_members(plugin, torch.device("cpu"))


@pytest.fixture(scope="module")
def ensemble(plugin):
    return load(plugin)


def test_a_result_holds_prediction_maps_and_provenance(plugin, ensemble, tmp_path):
    study = make_study()
    request = AnalysisRequest(explain=("gradcam", "ig"), seed=5)
    result = analyse(study, plugin, request, ensemble=ensemble)
    assert result.prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert [a.method for a in result.attributions] == ["gradcam", "ig"]
    assert all(a.map.shape == study.spatial_shape for a in result.attributions)
    assert {a.target for a in result.attributions} == {result.prediction.predicted}
    assert result.provenance.weights_sha256 == plugin.weights_sha256
    assert result.provenance.calibration_set == "made"
    save_result(result, tmp_path / "case")
    assert results_equal(load_result(tmp_path / "case"), result)


def test_the_mean_of_the_members_is_the_probability(plugin, ensemble):
    p = analyse(make_study(), plugin, AnalysisRequest(), ensemble=ensemble).prediction
    np.testing.assert_allclose(p.member_probabilities.mean(axis=0), p.probabilities, atol=1e-6)
    assert p.predicted in p.labels
    assert p.conformal_set


def test_the_label_asked_for_is_explained(plugin, ensemble):
    for code in plugin.manifest.label_codes:
        request = AnalysisRequest(explain=("ig",), target=code)
        assert analyse(make_study(), plugin, request, ensemble=ensemble).attributions[0].target == code


def test_researchers_get_every_method_that_fits_with_its_disagreement(plugin, ensemble, tmp_path):
    fitting = fitting_methods(plugin.manifest.explain)
    assert fitting[:4] == plugin.manifest.explain.methods
    assert set(fitting) == set(METHODS)
    methods = ("gradcam_pp", "input_x_gradient", "kernel_shap")
    result = analyse(make_study(), plugin, AnalysisRequest(explain=methods), ensemble=ensemble)
    assert [a.method for a in result.attributions] == list(methods)
    assert all(a.disagreement.shape == a.map.shape for a in result.attributions)
    save_result(result, tmp_path / "case")
    assert results_equal(load_result(tmp_path / "case"), result)


def test_methods_that_do_not_fit_are_refused(plugin, ensemble):
    unfit = plugin.manifest.explain.model_copy(update={"unfit": ("rise",), "methods": ("ig",), "gradcam_layer": ""})
    assert not {"rise", "gradcam", "gradcam_pp"} & set(fitting_methods(unfit))
    with pytest.raises(PluginError, match="does not offer method 'astrology'"):
        analyse(make_study(), plugin, AnalysisRequest(explain=("ig", "astrology")), ensemble=ensemble)


def test_of_a_set_of_two_a_map_each_way(plugin, ensemble):
    """At some level the set holds two labels; at others the one target is explained."""
    sizes = set()
    for coverage in np.linspace(0.05, 0.95, 19):
        request = AnalysisRequest(explain=("input_x_gradient",), coverage=float(coverage), each_way=True)
        result = analyse(make_study(), plugin, request, ensemble=ensemble)
        chosen, targets = result.prediction.conformal_set, [a.target for a in result.attributions]
        sizes.add(len(chosen))
        pair = [f"{chosen[0]}/{chosen[1]}", f"{chosen[1]}/{chosen[0]}"] if len(chosen) == 2 else []
        assert targets == (pair or [result.prediction.predicted])
    assert 2 in sizes
    assert len(sizes) > 1


def test_the_boundary_of_an_ordinal_task_is_explained(tmp_path):
    plugin = write_plugin(tmp_path, TinyPlugin(kind="ordinal"))
    request = AnalysisRequest(explain=("ig", "occlusion"), target=">=b")
    result = analyse(make_study(), plugin, request, ensemble=load(plugin))
    assert [a.target for a in result.attributions] == [">=b", ">=b"]
    assert [str(a.parameters["explains"]).split()[-1] for a in result.attributions] == ["log-odds", "members"]
    occlusion, p = result.attributions[1], result.prediction.probability
    label = analyse(make_study(), plugin, replace(request, target="a"), ensemble=load(plugin)).attributions[1]
    assert p("a") + p("b") + p("c") == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(occlusion.map, -label.map, atol=1e-5)
    assert np.abs(occlusion.map).max() > 1e-4


def test_same_request_same_result(plugin, ensemble):
    request = AnalysisRequest(explain=("gradcam", "ig", "occlusion"), seed=1)
    first, second = (analyse(make_study(), plugin, request, ensemble=ensemble) for _ in range(2))
    stamp = second.provenance.created_utc
    assert results_equal(replace(first, provenance=replace(first.provenance, created_utc=stamp)), second)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"modality": "CT"}, "modality CT"),
        ({"pixels": np.full((48, 60, 3), 0.5, np.float32)}, "one flat value"),
        ({"pixels": np.random.default_rng(0).random((8, 60, 3), dtype=np.float32)}, "smaller than"),
    ],
)
def test_what_the_task_cannot_read_gets_no_score(plugin, ensemble, change, reason):
    request = AnalysisRequest(explain=("ig",))
    result = analyse(replace(make_study(), **change), plugin, request, ensemble=ensemble)
    assert result.prediction.decision.kind is DecisionKind.REJECT
    assert reason in result.prediction.decision.reasons[0]
    assert np.isnan(result.prediction.probabilities).all()
    assert result.prediction.predicted == ""
    assert result.attributions == ()


def test_a_grey_image_gets_no_score_from_a_colour_task(plugin, ensemble):
    result = analyse(make_study(colour=False), plugin, AnalysisRequest(), ensemble=ensemble)
    assert result.prediction.decision.kind is DecisionKind.REJECT


def partials(plugin, ensemble, **request):
    seen = []
    request = AnalysisRequest(explain=("gradcam", "ig"), **request)
    analyse(make_study(), plugin, request, ensemble=ensemble, hooks=Hooks(partial=seen.append))
    return [[bool(item.fidelity.grade) for item in result.attributions] for result in seen]


def test_partial_results_grow_map_by_map_each_before_its_grade(plugin, ensemble):
    assert partials(plugin, ensemble) == [[], [False], [True], [True, False], [True, True]]


def test_grading_can_be_left_out(plugin, ensemble):
    assert partials(plugin, ensemble, grade=False) == [[], [False], [False, False]]


def test_every_map_of_a_case_knows_how_far_the_others_agree(plugin, ensemble):
    result = analyse(make_study(), plugin, AnalysisRequest(explain=("gradcam", "ig")), ensemble=ensemble)
    first, second = (item.fidelity for item in result.attributions)
    assert first.agreement == pytest.approx(second.agreement)
    assert first.remarks


def test_a_map_that_cannot_be_tested_stays_and_says_so(tmp_path):
    own = write_plugin(tmp_path)
    path = own.folder / "plugin.toml"
    path.write_text(path.read_text().replace("gradcam_layer", 'grades = "explanations.json"\ngradcam_layer'))
    (own.folder / "explanations.json").write_text("not JSON")
    own = load_plugin(own.folder)
    result = analyse(make_study(), own, AnalysisRequest(explain=("gradcam", "ig")), ensemble=load(own))
    assert [item.fidelity.grade for item in result.attributions] == ["", ""]
    assert all("could not be tested" in item.fidelity.remarks[0] for item in result.attributions)


def test_progress_never_falls_and_ends_at_one(plugin, ensemble):
    seen = []
    hooks = Hooks(progress=lambda p: seen.append(p.fraction))
    analyse(make_study(), plugin, AnalysisRequest(explain=("ig", "lime")), ensemble=ensemble, hooks=hooks)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_cancelling_stops_the_analysis(plugin, ensemble):
    hooks = Hooks(cancelled=lambda: True)
    with pytest.raises(JobCancelledError):
        analyse(make_study(), plugin, AnalysisRequest(explain=("lime",)), ensemble=ensemble, hooks=hooks)


def test_a_method_that_the_task_does_not_offer_is_refused(plugin, ensemble):
    with pytest.raises(PluginError, match="does not offer"):
        analyse(make_study(), plugin, AnalysisRequest(explain=("magic",)), ensemble=ensemble)


def test_an_unknown_label_is_refused(plugin, ensemble):
    with pytest.raises(ManifestError, match="has no label"):
        analyse(make_study(), plugin, AnalysisRequest(explain=("ig",), target="zzz"), ensemble=ensemble)


def test_without_calibration_there_are_no_scores(tmp_path):
    plugin = write_plugin(tmp_path, TinyPlugin(calibrated=False))
    with pytest.raises(ManifestError, match="not probabilities"):
        analyse(make_study(), plugin, AnalysisRequest())


def test_a_calibration_of_other_weights_is_refused(tmp_path, plugin):
    other = write_plugin(tmp_path, TinyPlugin(n_members=3))
    other.calibration_path().write_bytes(plugin.calibration_path().read_bytes())
    with pytest.raises(ManifestError, match="other weights"):
        analyse(make_study(), other, AnalysisRequest())


def test_in_a_batch_each_case_fails_alone(plugin, ensemble):
    bad = replace(make_study(seed=1), modality="CT")
    results = predict_batch([make_study(), bad, make_study(seed=2)], plugin, ensemble)
    assert [isinstance(r, Prediction) for r in results] == [True, True, True]
    assert results[1].decision.kind is DecisionKind.REJECT
    alone = predict_batch([make_study(seed=2)], plugin, ensemble)[0]
    np.testing.assert_allclose(results[2].probabilities, alone.probabilities, atol=1e-5)


PREPROCESS_THAT_RAISES = '''
def preprocess(study, region=None):
    """Fail."""
    raise RuntimeError("CANARY^PATIENT")
'''


def test_a_plugin_that_raises_is_named_and_its_words_are_not_quoted(tmp_path):
    plugin = write_plugin(tmp_path, TinyPlugin(id="broken", preprocess=PREPROCESS_THAT_RAISES))
    with pytest.raises(PluginError, match="'broken'") as caught:
        analyse(make_study(), plugin, AnalysisRequest())
    assert "CANARY" not in str(caught.value)


GATE = '''
def gate(study, region):
    """Refuse what is bright, and show that flat images never come here."""
    assert float(study.pixels.std()) > 0
    return ("The image is too bright.",) if study.pixels.mean() > 0.8 else ()
'''


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    spec = TinyPlugin(files={"extras.py": GATE}, code='gate = "extras:gate"\n')
    return write_plugin(tmp_path_factory.mktemp("gated"), spec)


def bright(*, simulated):
    study = make_study()
    return replace(study, pixels=(0.85 + 0.15 * study.pixels).astype(np.float32), simulated=simulated)


def test_the_tasks_own_gate_is_asked_after_the_shared_checks(gated):
    result = analyse(bright(simulated=False), gated, AnalysisRequest(explain=("ig",)))
    assert result.prediction.decision.reasons == ("The image is too bright.",)
    assert (result.prediction.decision.kind, result.prediction.predicted) == (DecisionKind.REJECT, "")
    flat = replace(make_study(), pixels=np.full((48, 60, 3), 0.5, np.float32))
    assert "flat" in analyse(flat, gated, AnalysisRequest()).prediction.decision.reasons[0]
    assert analyse(make_study(), gated, AnalysisRequest()).prediction.predicted
    real = predict_batch([bright(simulated=False)], gated, load(gated))[0]
    assert real.decision.reasons == ("The image is too bright.",)


def test_a_simulated_image_shows_its_refusal_under_a_banner(gated):
    result = analyse(bright(simulated=True), gated, AnalysisRequest(explain=("ig",)))
    assert result.prediction.decision.reasons == ("The image is too bright.",)
    assert result.prediction.decision.kind is DecisionKind.REJECT
    assert np.isfinite(result.prediction.probabilities).all()
    assert len(result.attributions) == 1
    assert GATE_BYPASSED in result.warnings
    assert GATE_BYPASSED not in analyse(make_study(), gated, AnalysisRequest()).warnings


@pytest.mark.parametrize("region", [Region((1.0, 2.0, 3.0)), Region((70.0, 2.0)), Region((-9.0, -9.0), (-2.0, 90.0))])
def test_a_region_off_the_image_is_an_error(plugin, ensemble, region):
    with pytest.raises(GeometryError, match="region"):
        analyse(make_study(), plugin, AnalysisRequest(region=region), ensemble=ensemble)


ARGUED = """
import numpy as np
from whycad.types import Evidence, Measurement, Segmentation

def evidence(study, inputs, outputs):
    mask = np.zeros(study.spatial_shape, bool)
    mask[:24] = True
    return Evidence(
        (Measurement("Size", 0.99, "mm", key="size", outline="half"),), segmentations=(Segmentation("half", mask, "x"),)
    )
"""


def test_findings_come_with_the_evidence_and_are_renewed_with_every_map(tmp_path):
    spec = TinyPlugin(
        files={"evidence.py": ARGUED},
        code='evidence = "evidence:evidence"\n',
        more='[reference]\nfile = "reference.json"\n',
    )
    plugin = write_plugin(tmp_path, spec)
    predicted = analyse(make_study(), plugin, AnalysisRequest()).prediction.predicted
    low, high = np.linspace(0, 0.9, 60), np.linspace(0.5, 1, 60)
    labels = {code: distribution_of(high if code == predicted else low) for code in "abc"}
    source = ReferenceSource(dataset="made", selection="", n=180, weights_sha256=plugin.weights_sha256)
    known = Reference(source=source, measurements={"size": Distribution(name="Size", labels=labels)})
    plugin.reference_path().write_text(known.model_dump_json())
    seen = []
    request = AnalysisRequest(explain=("gradcam", "ig"))
    result = analyse(make_study(), plugin, request, hooks=Hooks(partial=seen.append))
    assert [f.source for f in seen[0].findings] == ["measurement"]
    assert "above more than 99 %" in seen[0].findings[0].sentence
    assert all(f.key in ("size", "gradcam", "ig") for f in result.findings)
    assert len({len(part.attributions) for part in seen}) == 3
    assert set(result.measurements[0].percentiles) == set("abc")
    save_result(result, tmp_path / "case")
    assert results_equal(load_result(tmp_path / "case"), result)
