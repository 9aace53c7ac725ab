"""How sure: everything is redrawn from the stored result, and says what it rests on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.facts import TaskFacts
from dashboard.setting import Shown, set_words, shown, stage_rows
from dashboard.state import KEY, OpenCase, Session
from whycad.performance import NOTHING
from whycad.testing.example_tasks import NODULE, SCANS, STAGES, example_calibration
from whycad.testing.examples import ExampleOptions, example_profile, example_result, example_volume
from whycad.testing.fake_jobs import FakeQueue
from whycad.types import Decision, DecisionKind, Region, Study

FACTS = TaskFacts(NODULE, NOTHING, example_calibration(NODULE))


def session(app: AppTest) -> Session:
    found = app.session_state[KEY]
    assert isinstance(found, Session)
    return found


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def row(app: AppTest, name: str) -> str:
    lines = [line for element in app.markdown for line in str(element.value).splitlines()]
    return next(line for line in lines if line.startswith(f"| {name} "))


def open_sure(app: AppTest, study: Study, **facts: object) -> None:
    session(app).open(OpenCase("case", "A case", study, "sample", **facts))  # type: ignore[arg-type]
    app.session_state["case-tabs"] = "How sure"
    app.run()
    app.run()
    assert not app.exception


@pytest.fixture
def nodule(any_app: AppTest, all_tasks: FakeQueue) -> AppTest:
    all_tasks.options = ExampleOptions(leading=0, probability=0.8, kind=DecisionKind.REPORT, reasons=())
    open_sure(any_app, example_volume(), task="nodule", region=Region((3.0, 20.0, 24.0)))
    return any_app


def test_the_tab_shows_every_part(nodule: AppTest) -> None:
    said = words(nodule)
    for part in (
        "Where the doubt comes from",
        "What each of 5 members says",
        "Does what is said come true?",
        "Of 100 calibration cases with a leading probability between 67 and 100",
        "Is it like the training images?",
        "What a report would cost on average",
        "On 105 held\\-out calibration cases the policy reports 60",
        "The set does not change with the prevalence",
    ):
        assert part in said, part
    assert len(nodule.get("plotly_chart")) == 4


def test_prevalence_redraws_probability_and_decision_without_the_model(nodule: AppTest, all_tasks: FakeQueue) -> None:
    asked = len(all_tasks.submitted)
    assert "20 \\%" in words(nodule)
    assert "No reason found to refer" in words(nodule)
    sets = row(nodule, "90 \\% set")
    nodule.select_slider(key="prior-nodule-malignant").set_value(90.0).run()
    assert not nodule.exception
    said = words(nodule)
    assert "Malignant: **69 \\%** (at the calibration data's prevalence 20 \\%)" in said
    assert "Refer to a specialist" in said
    assert "at your prevalence" in said
    assert row(nodule, "90 \\% set") == sets, "the set stays"
    assert len(all_tasks.submitted) == asked
    nodule.button(key="prior-reset").click().run()
    assert "Malignant: **20 \\%**" in words(nodule)
    assert session(nodule).priors == {}


def test_prevalence_and_level_outlive_the_closed_tab(nodule: AppTest) -> None:
    nodule.select_slider(key="prior-nodule-malignant").set_value(90.0).run()
    nodule.segmented_control(key="coverage").set_value(0.8).run()
    nodule.session_state["case-tabs"] = "Why"
    nodule.run()
    nodule.run()
    assert session(nodule).coverage == 0.8
    assert "| 80 \\% set " in words(nodule)
    assert "at your prevalence" in words(nodule)


def test_several_labels_have_a_share_each(any_app: AppTest, all_tasks: FakeQueue) -> None:
    all_tasks.options = ExampleOptions(leading=2, probability=0.6)
    volume = example_volume(modality="MR")
    open_sure(any_app, replace(volume, pixels=volume.pixels[3], spacing_mm=(0.7, 0.7), sha256="cd" * 32))
    any_app.slider(key="prior-stages-F4").set_value(80.0).run()
    assert not any_app.exception
    assert session(any_app).priors["stages"] == (20.0, 20.0, 20.0, 20.0, 80.0)
    assert "at your prevalence" in words(any_app)
    any_app.slider(key="prior-stages-F4").set_value(20.0).run()
    assert session(any_app).priors == {}, "back at the calibration data's prevalence"


def test_what_is_not_stored_is_not_established(
    any_app: AppTest, all_tasks: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "calibration", lambda folder: None)
    open_sure(any_app, example_volume(), task="nodule", region=Region((3.0, 20.0, 24.0)))
    said = words(any_app)
    assert "The prevalence cannot be changed" in said
    assert "Reliability: not established" in said
    assert "Strangeness: not established" in said


# ---- without a page ----


def result_of(**options: object):  # type: ignore[no-untyped-def]
    return example_result(example_volume(), NODULE, ExampleOptions(**options))  # type: ignore[arg-type]


def test_the_calibration_prior_changes_nothing() -> None:
    result = result_of()
    assert shown(result, FACTS, 0.9, (0.5, 0.5)).prediction is result.prediction
    assert shown(result, FACTS, 0.9, (7.0, 7.0)).prior is None
    assert shown(result, FACTS, 0.9, None).prediction is result.prediction


def test_a_volume_keeps_what_its_slices_said() -> None:
    facts = TaskFacts(SCANS, NOTHING, example_calibration(SCANS))
    result = example_result(example_volume(modality="OPT"), SCANS, ExampleOptions(leading=0, probability=0.99))
    slices = Decision(DecisionKind.REFER, ("CNV cannot be ruled out in 3 of 6 slices.",))
    result = replace(result, profile=example_profile(6, 2), prediction=replace(result.prediction, decision=slices))
    moved = shown(result, facts, 0.9, (0.999, 0.001)).prediction
    assert moved.decision.kind is DecisionKind.REFER
    assert "CNV cannot be ruled out in 3 of 6 slices." in moved.decision.reasons


def test_sets_come_from_the_stored_result_at_any_level_and_prevalence() -> None:
    result = result_of(leading=1)
    at = Shown(result, result.prediction, 0.8)
    assert at.set_at(NODULE) == ("malignant",)
    assert at.set_at(NODULE, 0.9) == ("benign", "malignant")
    moved = shown(result, FACTS, 0.8, (0.99, 0.01))
    assert moved.prediction.predicted == "benign"
    assert moved.set_at(NODULE) == ("malignant",)


@pytest.mark.parametrize(
    ("task", "codes", "said"),
    [
        (NODULE, ("benign", "malignant"), "both: not settled"),
        (NODULE, (), "neither: fits no answer"),
        (NODULE, ("malignant",), "Malignant"),
        (STAGES, ("F1", "F2", "F3"), "F1 to F3"),
        (STAGES, ("F4",), "F4"),
    ],
)
def test_sets_have_words_for_every_kind_of_task(task, codes, said) -> None:  # type: ignore[no-untyped-def]
    assert set_words(codes, task) == said


def test_stages_are_asked_as_clinicians_decide() -> None:
    result = example_result(example_volume(modality="MR"), STAGES, ExampleOptions(leading=4, probability=0.6))
    names = [(name, share) for name, share, _ in stage_rows(result.prediction, STAGES)]
    assert names == [("At least F2", "80 %"), ("At least F3", "70 %"), ("F4", "60 %")]
