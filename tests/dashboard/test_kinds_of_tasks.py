"""Tasks that need a click, that read slices, that stage: what the Case view makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.components import opener
from dashboard.components.case_viewer import strip_of, windows
from dashboard.components.viewer import ViewerEvent, component
from dashboard.settings import Settings
from dashboard.state import KEY, OpenCase, Session
from whycad import wording
from whycad.errors import CorruptImageError
from whycad.imaging import StudyItem
from whycad.phantom import PhantomCase
from whycad.registry import Registry
from whycad.testing.example_tasks import NODULE, SCANS
from whycad.testing.examples import ExampleOptions, example_evidence, example_profile, example_result, example_volume
from whycad.testing.fake_jobs import FakeQueue
from whycad.types import DecisionKind, Region, Study


def session(app: AppTest) -> Session:
    found = app.session_state[KEY]
    assert isinstance(found, Session)
    return found


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def open_study(app: AppTest, study: Study, **facts: object) -> OpenCase:
    case = OpenCase(f"case-{study.sha256[:6]}", "Upload 12345678", study, "upload", **facts)  # type: ignore[arg-type]
    session(app).open(case)
    app.run()
    assert not app.exception
    return case


@pytest.fixture
def pen(monkeypatch: pytest.MonkeyPatch) -> list[ViewerEvent]:
    """What the viewer says next: the last event of this list."""
    events = [ViewerEvent()]
    monkeypatch.setattr(component, "parse_event", lambda *_, **__: events[-1])
    return events


# ---- seeded tasks ----


def test_nothing_is_analysed_before_the_click(any_app: AppTest, all_tasks: FakeQueue) -> None:
    open_study(any_app, example_volume())
    assert "**Click the nodule.** Scroll with the wheel" in words(any_app)
    assert "No answer yet" in words(any_app)
    assert not all_tasks.submitted
    any_app.run()
    assert not all_tasks.submitted


def test_the_first_click_starts_the_analysis_there(
    any_app: AppTest, all_tasks: FakeQueue, pen: list[ViewerEvent]
) -> None:
    case = open_study(any_app, example_volume())
    pen.append(ViewerEvent("click", 1, (3, 20, 24), slice=3))
    any_app.run()
    assert {asked.request.region for asked in all_tasks.submitted} == {Region((3.0, 20.0, 24.0))}
    assert "Click the nodule" not in words(any_app)
    assert "Refer to a specialist" in words(any_app)
    asked = len(all_tasks.submitted)
    any_app.run()
    assert len(all_tasks.submitted) == asked, "the same click is heeded once"
    assert case.work["nodule"].region == Region((3.0, 20.0, 24.0))


def test_a_click_elsewhere_asks_before_it_analyses(
    any_app: AppTest, all_tasks: FakeQueue, pen: list[ViewerEvent]
) -> None:
    case = open_study(any_app, example_volume())
    pen.append(ViewerEvent("click", 1, (3, 20, 24)))
    any_app.run()
    asked = len(all_tasks.submitted)
    pen.append(ViewerEvent("click", 2, (4, 10, 11)))
    any_app.run()
    assert "Analyse slice 5, row 10, column 11 instead?" in words(any_app)
    assert len(all_tasks.submitted) == asked
    any_app.button(key="keep-point").click().run()
    assert "instead?" not in words(any_app)
    pen.append(ViewerEvent("click", 3, (4, 10, 11)))
    any_app.run()
    any_app.button(key="analyse-here").click().run()
    assert all_tasks.submitted[-1].request.region == Region((4.0, 10.0, 11.0))
    assert case.work["nodule"].region == Region((4.0, 10.0, 11.0))
    assert "instead?" not in words(any_app)


def test_an_old_click_does_not_start_a_case_that_is_opened_again(
    any_app: AppTest, all_tasks: FakeQueue, pen: list[ViewerEvent]
) -> None:
    case = open_study(any_app, example_volume())
    pen.append(ViewerEvent("click", 1, (3, 20, 24)))
    any_app.run()
    asked = len(all_tasks.submitted)
    any_app.button(key=f"close-{case.id}").click().run()
    open_study(any_app, example_volume())
    assert len(all_tasks.submitted) == asked
    assert "Click the nodule" in words(any_app)


def test_a_flat_crop_is_clicked_too(any_app: AppTest, all_tasks: FakeQueue, pen: list[ViewerEvent]) -> None:
    volume = example_volume()
    crop = replace(volume, pixels=volume.pixels[3], spacing_mm=(0.7, 0.7), sha256="ab" * 32)
    open_study(any_app, crop)
    assert "**Click the nodule.** Nothing is analysed" in words(any_app)
    pen.append(ViewerEvent("click", 1, (20, 24)))
    any_app.run()
    assert all_tasks.submitted[0].request.region == Region((20.0, 24.0))


def test_a_sample_brings_its_own_region(any_app: AppTest, all_tasks: FakeQueue) -> None:
    open_study(any_app, example_volume(), task="nodule", region=Region((3.0, 20.0, 24.0)))
    assert all_tasks.submitted[0].request.region == Region((3.0, 20.0, 24.0))
    assert "Click the nodule" not in words(any_app)


def test_ct_has_windows_and_the_tasks_own_comes_first() -> None:
    case = OpenCase("x", "x", example_volume(), "upload")
    assert [name for name, *_ in windows(case, NODULE)] == ["Lung", "Mediastinum", "Bone"]
    other = NODULE.model_copy(update={"input": NODULE.input.model_copy(update={"window": (0.0, 100.0)})})
    assert windows(case, other)[0] == ("Task", 0.0, 100.0)
    assert windows(OpenCase("y", "y", example_volume(modality="OPT"), "upload"), SCANS) == ()


# ---- volumes read slice by slice ----


def scans(n: int = 6) -> Study:
    return example_volume((n, 40, 48), modality="OPT")


def test_a_volume_of_scans_gets_one_answer_and_maps_on_demand(
    any_app: AppTest, all_tasks: FakeQueue, pen: list[ViewerEvent]
) -> None:
    all_tasks.options = ExampleOptions(leading=1, by_slices=True)
    open_study(any_app, scans())
    assert [asked.request.explain for asked in all_tasks.submitted] == [()]
    said = words(any_app)
    for part in ("CNV", "the whole volume", "Slices that refer | **2 of 6**", "Slices without an answer | **1 of 6**"):
        assert part in said, part
    pen.append(ViewerEvent("slice", 5, slice=4))
    any_app.run()
    assert all_tasks.submitted[-1].request.region == Region((4.0, 19.5, 23.5))
    assert all_tasks.submitted[-1].request.explain == SCANS.explain.methods
    case = session(any_app).case
    assert case is not None
    result = case.work["scans"].result
    assert result is not None
    assert result.profile is not None
    assert result.profile.shown == 4
    assert len(result.attributions) == len(SCANS.explain.methods)


def test_maps_of_another_slice_are_dropped(any_app: AppTest, all_tasks: FakeQueue, pen: list[ViewerEvent]) -> None:
    all_tasks.options = ExampleOptions(leading=1, by_slices=True)
    case = open_study(any_app, scans())
    for seq, number in enumerate((2, 4), start=1):
        pen.append(ViewerEvent("slice", seq, slice=number))
        any_app.run()
    result = case.work["scans"].result
    assert result is not None
    assert len(result.attributions) == len(SCANS.explain.methods)


def test_the_strip_says_what_the_profile_says() -> None:
    study = scans()
    result = replace(example_result(study, SCANS, ExampleOptions(leading=1)), profile=example_profile(6, 2))
    assert result.profile is not None
    strip = strip_of(result, result.profile, SCANS)
    assert strip.title == "Probability of CNV, slice by slice"
    assert strip.values[:5] == pytest.approx([0, 0.18, 0.36, 0.54, 0.72], abs=1e-3)
    assert strip.values[5] is None
    assert strip.decisions[-1] == "reject"
    assert "highest 72 % at slice 5; 2 slices refer" in strip.alt


# ---- ordinal, simulated, refused ----


def stage_study() -> Study:
    volume = example_volume(modality="MR")
    return replace(volume, pixels=volume.pixels[3], spacing_mm=(0.7, 0.7), sha256="cd" * 32)


def test_stages_show_the_decisions_that_clinicians_take(any_app: AppTest, all_tasks: FakeQueue) -> None:
    all_tasks.options = ExampleOptions(leading=2, probability=0.6)
    open_study(any_app, stage_study())
    said = words(any_app)
    for part in (
        r"At least F2 | **80 \%**",
        r"At least F3 | **20 \%**",
        "F4 | **62",
        r"Expected stage | **2\.0",
        r"90 \% set | **F2 to F3**",
    ):
        assert part in said, part


def test_simulated_training_data_is_said_for_good(any_app: AppTest) -> None:
    open_study(any_app, replace(stage_study(), simulated=False))
    assert "model trained on simulated data  :orange-badge[simulated data]" in words(any_app)
    assert "simulated]" in next(str(m.value) for m in any_app.markdown if "Upload 12345678" in str(m.value))


def test_a_simulated_sample_shows_the_gates_own_answer_under_a_banner(any_app: AppTest, all_tasks: FakeQueue) -> None:
    open_study(any_app, stage_study())
    case = session(any_app).case
    assert case is not None
    work = case.work["stages"]
    assert work.result is not None
    refused = replace(work.result.prediction.decision, kind=DecisionKind.REJECT, reasons=("No liver in sight.",))
    prediction = replace(work.result.prediction, decision=refused)
    work.result = replace(work.result, prediction=prediction, warnings=(wording.GATE_BYPASSED,))
    any_app.run()
    said = words(any_app)
    assert "gate bypassed for demonstration" in said
    assert "No answer for this image" in said
    assert "No liver in sight" in said
    assert "### " in said, "the number is there under the banner"
    work.result = replace(work.result, warnings=())
    any_app.run()
    assert "## No score" in words(any_app), "a refused case without the banner shows no number"


def test_evidence_stands_before_the_maps(any_app: AppTest, all_tasks: FakeQueue) -> None:
    study = stage_study()
    all_tasks.options = ExampleOptions(leading=2, evidence=example_evidence(study.spatial_shape))
    open_study(any_app, study)
    said = words(any_app)
    for part in (
        "Longest diameter",
        "12\\.3 mm \\(usually 4 to 30\\)",
        "How sharp is the margin",
        "Outlined in the picture",
    ):
        assert part in said, part
    assert said.index("**Evidence**") < said.index("A map shows what mattered")


# ---- opening ----


def test_files_of_a_series_are_one_case_and_faults_name_their_files(
    any_app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = CorruptImageError("slices are missing", remedy="send the whole series")
    items = (StudyItem((0, 1, 2), example_volume()), StudyItem((3, 5), None, gap), StudyItem((4,), None, gap))
    monkeypatch.setattr(opener, "read_studies", lambda contents: items)
    any_app.file_uploader(key="upload-0").set_value([(f"{n}.dcm", b"x", "") for n in range(6)]).run()
    assert [case.title for case in session(any_app).cases.values()] == [f"CT {example_volume().sha256[:8]}, 6 slices"]
    said = words(any_app)
    assert "Files 4, 6: **slices are missing**" in said
    assert "File 5: **slices are missing**" in said
    assert "dcm" not in said


@pytest.mark.parametrize(
    ("sources", "said"),
    [((4,), "File 5"), ((0, 1), "Files 1, 2"), (range(48), "Files 1 to 48"), (range(0, 18, 2), "and 3 more")],
)
def test_files_are_named_by_number(sources: tuple[int, ...], said: str) -> None:
    assert opener.files_words(sources).endswith(said)


def test_an_image_that_several_tasks_read_waits_for_the_readers_choice(
    any_app: AppTest, all_tasks: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = SCANS.model_copy(update={"id": "others", "input": SCANS.input.model_copy(update={"modalities": ("MR",)})})
    found = cache.registry().entries
    wider = Registry((*found, replace(found[2], id="others", manifest=both)))
    monkeypatch.setattr(cache, "registry", lambda: wider)
    all_tasks.others["others"] = both
    case = open_study(any_app, stage_study())
    assert "What is this image of?" in words(any_app)
    assert not all_tasks.submitted
    any_app.segmented_control(key=f"task-{case.id}").set_value("stages").run()
    assert all_tasks.submitted[0].plugin_id == "stages"


def test_samples_are_grouped_by_task_and_only_open_groups_are_made(any_app: AppTest) -> None:
    titles = [expander.label for expander in any_app.sidebar.expander]
    assert titles == ["Stand\\-in nodule", "Stand\\-in scans", "Stand\\-in stages"]
    keys = [b.key for b in any_app.button if b.key and b.key.startswith("sample-")]
    assert keys, "one group is open"
    assert len({key.rsplit("-", 1)[0] for key in keys}) == 1


def test_real_cases_come_with_their_region_and_hide_their_label(
    all_tasks: FakeQueue, monkeypatch: pytest.MonkeyPatch, any_app: AppTest
) -> None:
    study = replace(example_volume(), simulated=False)
    case = PhantomCase(study, study.pixels > 0, "malignant", "pack 7", "", region=Region((3.0, 20.0, 24.0)))
    all_tasks.real = (case,)
    monkeypatch.setattr(cache, "settings", lambda: Settings(data=Path("data")))
    st.cache_resource.clear()
    any_app.session_state["samples-nodule"] = True
    any_app.run()
    any_app.button(key="real-nodule-0").click().run()
    assert not any_app.exception
    opened = session(any_app).case
    assert opened is not None
    assert (opened.task, opened.region, opened.source) == ("nodule", case.region, "pack")
    assert all_tasks.submitted[0].request.region == case.region
    assert "True label" not in words(any_app)
    any_app.button(key="reveal").click().run()
    assert "True label: **Malignant**" in words(any_app)
